"""Progress bar and final summary of a run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from deepclarity.pipelines.records import Summary
from deepclarity.pipelines.report.text import deinterlacing
from deepclarity.pipelines.route import FrameSelection
from deepclarity.stream.info import VideoInfo

_UPDATE_INTERVAL_S = 0.1


class _EtaColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        if task.total is None:
            return Text("ETA unknown")
        left = task.time_remaining
        return Text("ETA –:––" if left is None else f"ETA {int(left // 60)}:{int(left % 60):02}")


class Progress:
    """Progress bar on stderr: frames, frames per second, ETA, repaired frames. Hidden if stderr is not a terminal."""

    def __init__(self, *, quiet: bool, name: str) -> None:
        console = Console(stderr=True)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[count]} frames"),
            TextColumn("{task.fields[speed]:.1f} frames/s"),
            _EtaColumn(),
            TextColumn("{task.fields[repaired]} repaired"),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self._task = self._bar.add_task(name, total=None, count="0", speed=0.0, repaired=0)
        self._start = self._last_update = time.monotonic()

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, summary: Summary, info: VideoInfo) -> None:
        now = time.monotonic()
        if now - self._last_update < _UPDATE_INTERVAL_S:
            return
        self._last_update = now
        done, total = summary.frames_out, info.expected_frames
        self._bar.update(
            self._task,
            completed=done,
            total=max(total, done) if total else None,
            count=f"{done}/{total}" if total else str(done),
            speed=done / (now - self._start),
            repaired=summary.repaired,
        )


def summary_lines(summary: Summary, *, which: FrameSelection) -> Iterator[str]:
    """The summary of a run as human-readable lines."""
    stages = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in summary.stage_s.items())
    yield f"{summary.output}: {summary.size}, {summary.frames_per_s:.1f} frames/s ({summary.elapsed_s:.1f} s)"
    yield (
        f"  frames    {summary.frames_in} in, {summary.frames_out} out: {summary.repaired} repaired, "
        f"{summary.resized} resized, {summary.passed} unchanged"
    )
    kinds = ", ".join(f"{count} {kind}" for kind, count in summary.frames_by_kind.items())
    if set(summary.frames_by_kind) - {"clean"}:
        yield f"  kinds     {kinds}"
    if summary.copied or (summary.encoded_because and not summary.resized):
        yield f"  copied    {_copied(summary)}"
    if fields := ", ".join(deinterlacing(summary)):
        yield f"  fields    {fields}"
    yield f"  problems  {_problems(summary)}"
    for other in summary.other_videos:
        yield f"  track     not repaired: {other}; choose it with --track"
    for lost in summary.lost:
        yield f"  left out  {lost}"
    yield f"  time      {stages} (stages run in parallel)"
    yield f"  models    {summary.model} on {summary.backend}, detector {summary.method}"
    if (soft := summary.frames_by_kind.get("soft")) and not summary.repaired:
        yield f"  {soft} frames were enlarged from a smaller picture. To repair such frames, add soft to --repair."
    if summary.repaired == 0 and which is FrameSelection.PIXELATED:
        yield "  No pixelated frames were found, so none were repaired. To enhance every frame, add --all."


def _copied(summary: Summary) -> str:
    anew = ", ".join(f"{count:,} encoded anew ({why})" for why, count in summary.encoded_because.items())
    return f"{summary.copied:,} of {summary.frames_out:,} frames copied untouched{'; ' if anew else ''}{anew}"


def _problems(summary: Summary) -> str:
    counts = {
        "damaged": summary.damaged,
        "dropped": summary.dropped,
        "timestamps corrected": summary.retimed,
        "resized because repair failed": summary.fallback,
    }
    parts = [f"{counts['damaged']} damaged", f"{counts['dropped']} dropped"]
    parts += [f"{count} {name}" for name, count in list(counts.items())[2:] if count]
    return ", ".join(parts)
