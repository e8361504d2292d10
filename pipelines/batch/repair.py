"""Repairs one file of a batch, a video or a picture, and turns every failure into a result."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from deepclarity.errors import DeepClarityError, OutputError, hide_secrets
from deepclarity.pipelines.correct import correct
from deepclarity.pipelines.jobs.job import Job
from deepclarity.pipelines.load_executor import Networks
from deepclarity.pipelines.records import Summary
from deepclarity.pipelines.route import FrameSelection
from deepclarity.pipelines.upscale import upscale
from deepclarity.stream.files.output_path import partial_path
from deepclarity.stream.files.resume import companion_files
from deepclarity.stream.files.still import read_picture, write_picture
from deepclarity.stream.info import VideoInfo

from .files import BatchFile
from .records import BatchOptions, FileProgress, FileResult, Outcome, Report

_PROGRESS_INTERVAL_S = 0.2


def repair_file(file: BatchFile, options: BatchOptions, networks: Networks, report: Report) -> FileResult:
    """Repair one file, replacing its output if there is one; no failure but an interruption is raised.

    After a failure or an interruption there is no file of the output's name, and no partial one.
    """
    started = time.perf_counter()
    discard_partial(file.output)  # of a run that was killed
    with _collected_warnings() as warnings:
        try:
            if file.is_picture:
                result = _repair_picture(file, options, networks)
            else:
                result = _repair_video(file, options, networks, report)
        except Exception as error:
            discard_partial(file.output)
            result = FileResult(file.source, file.output, Outcome.FAILED, reason_of(error, file.source))
        except BaseException:
            discard_partial(file.output)
            raise
    return replace(result, warnings=tuple(warnings), elapsed_s=time.perf_counter() - started)


def _repair_video(file: BatchFile, options: BatchOptions, networks: Networks, report: Report) -> FileResult:
    job = Job(file.source, file.output, options.preset, overwrite=True, encoder_cores=options.cores)
    last = time.monotonic()

    def progress(summary: Summary, info: VideoInfo) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _PROGRESS_INTERVAL_S:
            last = now
            report(FileProgress(file.source, summary.frames_out, info.expected_frames))

    summary = upscale(job, progress=progress, networks=networks)
    return FileResult(
        file.source,
        file.output,
        Outcome.REPAIRED if summary.repaired else Outcome.CLEAN,
        frames=summary.frames_out,
        repaired=summary.repaired,
        damaged=summary.damaged,
    )


def _repair_picture(file: BatchFile, options: BatchOptions, networks: Networks) -> FileResult:
    preset = options.preset
    if preset.which is FrameSelection.NONE:
        _copy(file.source, file.output)
        return FileResult(file.source, file.output, Outcome.CLEAN)
    enhancer = networks.enhancer(options.picture_model, device=preset.device)
    result = correct(
        read_picture(file.source),
        detector=networks.detector(preset.method, pixel_art=preset.pixel_art),
        enhancer=enhancer,
        repair=preset.routing.repair,
        reducer=networks.picture_reducer(enhancer, preset.routing.repair),
        scale=options.scale,
        force=options.force or preset.which is FrameSelection.ALL,
    )
    if result.repaired:
        write_picture(file.output, result.picture)
        return FileResult(file.source, file.output, Outcome.REPAIRED)
    _copy(file.source, file.output)
    return FileResult(file.source, file.output, Outcome.CLEAN)


def _copy(source: Path, output: Path) -> None:
    """Copy a file byte for byte, under a temporary name until it is complete."""
    partial = partial_path(output)
    try:
        shutil.copyfile(source, partial)
        partial.replace(output)
    except OSError as error:
        raise OutputError(f"{output}: cannot be written ({error.strerror}). Free some space.") from error


def discard_partial(output: Path) -> None:
    """Remove what an interrupted run left beside `output`."""
    partial = partial_path(output)
    for path in (partial, *companion_files(partial), output.with_name(f"{output.name}.partial")):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def reason_of(error: Exception, source: Path) -> str:
    """The reason for a failure in one line, without the file's own name in front."""
    if isinstance(error, DeepClarityError):
        text = str(error)
    elif isinstance(error, MemoryError):
        text = "out of memory. Use fewer --jobs, or a smaller --size."
    elif isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}. Check the disk."
    else:
        text = f"internal error: {type(error).__name__}: {error}. Report this bug."
    return hide_secrets(" ".join(text.split()).removeprefix(f"{source}: "))


class _Collector(logging.Handler):
    """Keeps the messages of warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(hide_secrets(record.getMessage()))


@contextlib.contextmanager
def _collected_warnings() -> Iterator[list[str]]:
    """The warnings that DeepClarity logs within the block."""
    collector, log = _Collector(), logging.getLogger("deepclarity")
    log.addHandler(collector)
    try:
        yield collector.messages
    finally:
        log.removeHandler(collector)
