"""Progress bar, messages and final summary of a batch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from deepclarity.pipelines.batch.records import BatchSummary, FileProgress, FileResult, Observer, Outcome

from . import output
from .tables import align_columns


class BatchProgress(Observer):
    """One progress bar for all files, on stderr; failures and warnings are printed above it as they occur."""

    def __init__(self, *, quiet: bool) -> None:
        console = Console(stderr=True)
        self._quiet = quiet
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[count]} files"),
            TextColumn("{task.fields[speed]:.1f} frames/s"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[failed]} failed"),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self._task = self._bar.add_task("batch", total=None, count="0", speed=0.0, failed=0)
        self._running: dict[Path, FileProgress] = {}
        self._files = self._done = self._failed = self._frames = 0
        self._start = time.monotonic()

    def __enter__(self) -> BatchProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def found(self, files: int) -> None:
        """More files are known."""
        self._files = files
        self._update()

    def progressed(self, progress: FileProgress) -> None:
        """A video has got further."""
        self._running[progress.source] = progress
        self._update(progress.source.name)

    def finished(self, result: FileResult) -> None:
        """A file is done: report what went wrong."""
        self._running.pop(result.source, None)
        self._done += 1
        self._frames += result.frames
        self._failed += result.outcome is Outcome.FAILED
        for text in result.warnings if not self._quiet else ():
            self._print(f"warning: {result.source}: {text.removeprefix(f'{result.source}: ')}")
        if result.outcome is Outcome.FAILED:
            self._print(f"deepclarity: {result.source}: {result.reason}")
        elif result.damaged and result.outcome is not Outcome.SKIPPED:
            self._print(f"deepclarity: {result.source}: {_damage(result)}")
        self._update(result.source.name)

    def _print(self, line: str) -> None:
        if self._bar.disable:
            output.write_line(line)
        else:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _update(self, name: str = "batch") -> None:
        parts = sum(min(1.0, each.frames / each.expected) for each in self._running.values() if each.expected)
        frames = self._frames + sum(each.frames for each in self._running.values())
        self._bar.update(
            self._task,
            description=name,
            completed=self._done + parts,
            total=self._files,
            count=f"{self._done}/{self._files}",
            speed=frames / max(1e-6, time.monotonic() - self._start),
            failed=self._failed,
        )


def summary_lines(summary: BatchSummary, output_dir: Path) -> Iterator[str]:
    """The summary as a table: how many files came out how, then each that failed or was damaged, with the reason."""
    speed = summary.frames / summary.elapsed_s if summary.elapsed_s else 0.0
    yield f"{output_dir}: {summary.files} files in {summary.elapsed_s:.1f} s, {summary.frames} frames ({speed:.1f}/s)"
    labels = {
        Outcome.REPAIRED: "repaired",
        Outcome.CLEAN: "nothing to repair",
        Outcome.SKIPPED: "skipped, done before",
        Outcome.FAILED: "failed",
    }
    rows = [[label, str(summary.count(outcome))] for outcome, label in labels.items()]
    if summary.damaged:
        rows.append(["of these damaged", str(len(summary.damaged))])
    yield from align_columns(rows, text_columns=1)
    for result in summary.failed:
        yield f"  {result.source}: {result.reason}"
    for result in summary.damaged:
        yield f"  {result.source}: {_damage(result)}"


def _damage(result: FileResult) -> str:
    return f"{result.damaged} damaged or missing packets; all frames that could be decoded are in {result.output}."
