"""What a running command shows, and the last lines it leaves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from deepclarity.pipelines.records import Summary
from deepclarity.pipelines.route import Which
from deepclarity.stream.info import VideoInfo

_EVERY_S = 0.1


class _Eta(ProgressColumn):
    def render(self, task: Task) -> Text:
        if task.total is None:
            return Text("ETA unknown")
        left = task.time_remaining
        return Text("ETA –:––" if left is None else f"ETA {int(left // 60)}:{int(left % 60):02}")


class Progress:
    """A bar on stderr: frames, frames a second, ETA, frames repaired. Nothing where stderr is no terminal."""

    def __init__(self, *, quiet: bool, name: str) -> None:
        console = Console(stderr=True)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[count]} frames"),
            TextColumn("{task.fields[speed]:.1f} frames/s"),
            _Eta(),
            TextColumn("{task.fields[repaired]} repaired"),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self._task = self._bar.add_task(name, total=None, count="0", speed=0.0, repaired=0)
        self._began = self._last = time.monotonic()

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, summary: Summary, info: VideoInfo) -> None:
        now = time.monotonic()
        if now - self._last < _EVERY_S:
            return
        self._last = now
        done, total = summary.frames_out, info.expected_frames
        self._bar.update(
            self._task,
            completed=done,
            total=max(total, done) if total else None,
            count=f"{done}/{total}" if total else str(done),
            speed=done / (now - self._began),
            repaired=summary.repaired,
        )


def summary_lines(summary: Summary, *, which: Which) -> Iterator[str]:
    """The last lines of a run, for people."""
    stages = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in summary.stage_s.items())
    yield f"{summary.output}: {summary.size}, {summary.frames_per_s:.1f} frames/s ({summary.elapsed_s:.1f} s)"
    yield (
        f"  frames    {summary.frames_in} in, {summary.frames_out} out: {summary.repaired} repaired, "
        f"{summary.resized} resized, {summary.passed} passed untouched"
    )
    yield f"  trouble   {_trouble(summary)}"
    yield f"  time      {stages} (stages overlap)"
    yield f"  with      {summary.model} on {summary.backend}, detector {summary.method}"
    if summary.repaired == 0 and which is Which.PIXELATED:
        yield "  Nothing was found pixelated, so nothing was repaired. To enhance every frame, add --all."


def _trouble(summary: Summary) -> str:
    counts = {
        "damaged": summary.damaged,
        "dropped": summary.dropped,
        "moved in time": summary.retimed,
        "resized for want of repair": summary.fallback,
    }
    told = [f"{counts['damaged']} damaged", f"{counts['dropped']} dropped"]
    told += [f"{count} {what}" for what, count in list(counts.items())[2:] if count]
    return ", ".join(told)
