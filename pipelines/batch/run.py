"""Runs a batch: finds the files, skips what is done, and gives the others to worker processes."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deepclarity.errors import OutputError, UsageError
from deepclarity.models.detectors import check_detector
from deepclarity.models.load import check_enhancer
from deepclarity.pipelines.fit import SizeRequest
from deepclarity.pipelines.upscale import encode_settings

from .files import BatchFile, find_files
from .manifest import Manifest
from .pool import WorkerPool
from .records import BatchOptions, BatchSummary, FileProgress, FileResult, Observer, Outcome
from .watch import Watcher

_POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class BatchJob:
    """Files to repair, and where to."""

    inputs: Sequence[Path]
    """Folders, lists and files."""
    output_dir: Path
    options: BatchOptions = field(default_factory=BatchOptions)
    jobs: int = 1
    """Worker processes."""
    overwrite: bool = False
    """Whether to replace outputs that are not of an earlier batch."""
    watch: bool = False
    """Whether to wait for more files, until interrupted."""
    settle_s: float = 2.0
    """Watching: seconds for which a file must not have changed before it is taken."""


class _Run:
    """The state of a batch that is running."""

    def __init__(self, job: BatchJob, manifest: Manifest, pool: WorkerPool, observer: Observer) -> None:
        self.summary = BatchSummary()
        self._job, self._manifest, self._pool, self._observer = job, manifest, pool, observer
        self._digest = job.options.digest
        self._waiting: deque[BatchFile] = deque()
        self._sources: dict[Path, os.stat_result] = {}

    @property
    def is_idle(self) -> bool:
        return not self._waiting and not self._pool.busy

    def add(self, files: Sequence[BatchFile]) -> None:
        """Queue files, but for those that are done already."""
        self.summary.files += len(files)
        self._observer.found(self.summary.files)
        for file in files:
            entry = self._manifest.finished(file, self._digest)
            if entry is None:
                self._waiting.append(file)
            else:
                self._finish(FileResult(file.source, file.output, Outcome.SKIPPED, damaged=entry.damaged))

    def step(self) -> None:
        """Give files to idle workers, and take what the workers have sent; waits for half a second at most."""
        while self._waiting and not self._pool.is_full:
            self._submit(self._waiting.popleft())
        if not self._pool.busy:
            return
        for message in self._pool.results(timeout_s=_POLL_S):
            if isinstance(message, FileProgress):
                self._observer.progressed(message)
            else:
                self._record(message)

    def _submit(self, file: BatchFile) -> None:
        try:
            self._sources[file.output] = file.source.stat()
            reason = self._obstacle(file)
            file.output.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = f"{error.strerror}. Check the name and the access rights."
        if reason:
            self._finish(FileResult(file.source, file.output, Outcome.FAILED, reason))
        else:
            self._pool.submit(file)

    def _obstacle(self, file: BatchFile) -> str:
        """Why the output must not be written; empty if it may be."""
        if not file.output.exists():
            return ""
        if file.output.samefile(file.source):
            return "the output is the input. Choose another folder with -o."
        if file.output.is_dir():
            return f"{file.output} is a folder. Choose another folder with -o."
        if self._job.overwrite or self._manifest.wrote(file):
            return ""
        return f"{file.output} already exists, and no batch wrote it. Add -y to replace it."

    def _record(self, result: FileResult) -> None:
        if result.outcome is not Outcome.FAILED:
            file, source = BatchFile(result.source, result.output), self._sources.pop(result.output)
            self._manifest.add(file, source, self._digest, damaged=result.damaged)
        self._finish(result)

    def _finish(self, result: FileResult) -> None:
        self.summary.results.append(result)
        self._observer.finished(result)


def run_batch(
    job: BatchJob, *, observer: Observer | None = None, until: Callable[[], bool] | None = None
) -> BatchSummary:
    """Repair all files of a batch; a file that fails is a result, not an error.

    A watching batch runs until `until` returns True, or it is interrupted by KeyboardInterrupt. Raises UsageError for
    an option that cannot be used, SourceError if an input is missing, OutputError if the folder cannot be written.
    """
    check_options(job)
    started = time.perf_counter()
    watcher = Watcher(job.inputs, job.output_dir, settle_s=job.settle_s)
    files = [] if job.watch else find_files(job.inputs, job.output_dir)
    if not files and not job.watch:
        raise UsageError(f"{job.inputs[0]}: no pictures or videos in it. Name another folder, or add --watch.")
    _create(job.output_dir)
    with Manifest(job.output_dir) as manifest, WorkerPool(job.options, jobs=job.jobs) as pool:
        run = _Run(job, manifest, pool, observer or Observer())
        run.add(files)
        try:
            while not run.is_idle or (job.watch and not (until and until())):
                if job.watch and (settled := watcher.settled()):
                    run.add(settled)
                run.step()
                if run.is_idle and job.watch:
                    time.sleep(_POLL_S)
        except KeyboardInterrupt:
            if not job.watch:
                raise
        run.summary.elapsed_s = time.perf_counter() - started
    return run.summary


def check_options(job: BatchJob) -> None:
    """Raise UsageError if an option cannot be used, before any file is read."""
    options = job.options
    if job.jobs < 1:
        raise UsageError(f"--jobs {job.jobs}: use a number from 1.")
    SizeRequest.parse(options.preset.size, pad=options.preset.pad)
    check_enhancer(options.preset.model)
    check_enhancer(options.picture_model)
    check_detector(options.preset.method)
    encode_settings(options.preset, "yuv420p", Path("video.mp4"), None)


def _create(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: not a folder. Name a folder with -o.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be created ({error.strerror}). Choose another folder.") from error
