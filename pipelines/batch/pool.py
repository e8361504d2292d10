"""A pool of worker processes, each busy with one file; one that crashes is replaced."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType

from deepclarity.errors import DeviceError

from .files import BatchFile
from .records import BatchOptions, FileProgress, FileResult, Outcome
from .repair import discard_partial
from .worker import serve

_STOP_TIMEOUT_S = 10.0


@contextlib.contextmanager
def _interrupts_kept_from_children() -> Iterator[None]:
    """Block SIGINT, as Ctrl-C reaches the entire process group: a process that is started inherits that for good."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    connection: Connection
    number: int
    file: BatchFile | None = None
    done: int = 0
    """Files it has answered."""


class WorkerPool:
    """Up to `jobs` worker processes, started when there is something to do; a context manager."""

    def __init__(self, options: BatchOptions, *, jobs: int) -> None:
        self._options = options
        self._jobs = jobs
        self._workers: list[_Worker] = []

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def busy(self) -> int:
        """Files under way."""
        return sum(worker.file is not None for worker in self._workers)

    @property
    def is_full(self) -> bool:
        """Whether every worker has a file."""
        return self.busy == self._jobs

    @property
    def process_ids(self) -> list[int]:
        """The process IDs of the workers."""
        return [worker.process.pid for worker in self._workers if worker.process.pid is not None]

    def submit(self, file: BatchFile) -> None:
        """Give `file` to an idle worker, which is started if need be."""
        for each in [each for each in self._workers if each.file is None and not each.process.is_alive()]:
            each.connection.close()  # it died while it had nothing to do
            self._workers.remove(each)
        worker = next((each for each in self._workers if each.file is None), None) or self._start()
        worker.file = file
        with contextlib.suppress(OSError):  # it has just died: `results` says so
            worker.connection.send(file)

    def results(self, *, timeout_s: float) -> Iterator[FileResult | FileProgress]:
        """What the workers have sent; waits up to `timeout_s` for the first message."""
        ready = wait([worker.connection for worker in self._workers if worker.file is not None], timeout_s)
        for worker in [each for each in self._workers if each.connection in ready]:
            try:
                message: FileResult | FileProgress = worker.connection.recv()
            except (EOFError, OSError):
                yield self._lost(worker)
                continue
            if isinstance(message, FileResult):
                worker.file = None
                worker.done += 1
            yield message

    def _start(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        used = {worker.number for worker in self._workers}
        number = next(each for each in range(self._jobs) if each not in used)
        process = context.Process(target=serve, args=(theirs, self._options, number, self._jobs), daemon=True)
        with _interrupts_kept_from_children():
            process.start()
        theirs.close()
        worker = _Worker(process, ours, number)
        self._workers.append(worker)
        return worker

    def _lost(self, worker: _Worker) -> FileResult:
        """The result of the file during which a worker died; it is replaced at the next file."""
        worker.process.join()
        code, file = worker.process.exitcode or 0, worker.file
        assert file is not None
        worker.connection.close()
        self._workers.remove(worker)
        discard_partial(file.output)
        cause = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        advice = "Memory may have run out: use fewer --jobs" if code == -signal.SIGKILL else "Check this file"
        if not worker.done and code > 0:
            raise DeviceError(f"a worker process could not start ({cause}). Run 'deepclarity upscale' on one file.")
        return FileResult(
            file.source, file.output, Outcome.FAILED, f"the process that repaired it was {cause}. {advice}."
        )

    def _stop(self) -> None:
        """End all workers: idle ones at once, busy ones as soon as they have removed their partial files."""
        for worker in self._workers:
            if worker.file is not None:
                worker.process.terminate()
            worker.connection.close()
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        for worker in self._workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            if worker.file is not None:
                discard_partial(worker.file.output)
        self._workers.clear()
