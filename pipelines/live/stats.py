"""How a live stream is doing: counted as it goes, read at any moment."""

from __future__ import annotations

import bisect
import contextlib
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from deepclarity.pipelines.records import Summary
from deepclarity.stream.frame import Frame

BOUNDS_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)
"""Upper bounds of the latency histograms' buckets, in seconds."""

_RECENT = 300
_RATE_OVER_S = 2.0
_FORGOTTEN_S = 10.0


@dataclass(slots=True)
class Histogram:
    """Seconds, counted by `BOUNDS_S`."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    """One a bucket, the last for what is longer."""
    sum_s: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect.bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds


class Rate:
    """Events a second, over the last two."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=512)

    def tick(self) -> None:
        """One happened."""
        self._times.append(time.monotonic())

    @property
    def per_s(self) -> float:
        """How many a second there were of late."""
        since = time.monotonic() - _RATE_OVER_S
        return sum(moment >= since for moment in tuple(self._times)) / _RATE_OVER_S


class LiveStats:
    """What is measured of one stream while it runs."""

    def __init__(self) -> None:
        self.stages = {"detect": Histogram(), "repair": Histogram(), "encode": Histogram()}
        """Seconds a frame that each stage took."""
        self.age = Histogram()
        """From a frame's arrival to its leaving."""
        self.came = Rate()
        self.left = Rate()
        self._recent: deque[tuple[float, float]] = deque(maxlen=_RECENT)

    def leaves(self, age_s: float) -> None:
        """A frame left `age_s` after it had come."""
        self.age.add(age_s)
        self._recent.append((time.monotonic(), age_s))

    def histograms(self) -> dict[str, dict[str, Any]]:
        """All of them, as plain values."""
        named = {**{f"stage_{name}": each for name, each in self.stages.items()}, "age": self.age}
        return {name: {"counts": list(each.counts), "sum_s": each.sum_s} for name, each in named.items()}

    def latency_ms(self, share: float) -> float:
        """The age below which `share` of the last 300 frames left, in milliseconds; 0 where none did for 10 s."""
        since = time.monotonic() - _FORGOTTEN_S
        ages = sorted(age_s for moment, age_s in tuple(self._recent) if moment >= since)
        return 1000 * ages[min(len(ages) - 1, int(share * len(ages)))] if ages else 0.0


class Tally(Summary):
    """A run's sums that also feed a pulse."""

    def __init__(self, stats: LiveStats) -> None:
        super().__init__()
        self.stats = stats

    def spent(self, stage: str, seconds: float) -> None:
        """Add to a stage's busy time."""
        super().spent(stage, seconds)
        self.stats.stages["detect" if stage == "detect" else "repair"].add(seconds)

    def counted(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Pass frames on; those that really came are counted."""
        with contextlib.ExitStack() as stack:
            iterator = iter(frames)
            if isinstance(iterator, Generator):
                stack.callback(iterator.close)
            for frame in iterator:
                if frame.placeholder is None:
                    self.frames_in += 1
                    self.stats.came.tick()
                yield frame


@dataclass(slots=True)
class Reading:
    """One look at a stream: plain values, fit for JSON and for the metrics."""

    name: str
    source: str = ""
    sink: str = ""
    source_state: str = "connecting"
    sink_state: str = "connecting"
    reason: str = ""
    """Why something is not connected."""
    tier: str = ""
    fps_in: float = 0.0
    fps_out: float = 0.0
    latency_p50_ms: float = 0.0
    latency_p99_ms: float = 0.0
    lanes: dict[str, int] = field(default_factory=dict)
    """Frames by lane."""
    drops: dict[str, int] = field(default_factory=dict)
    """Frames that did not reach the viewers, by reason."""
    counts: dict[str, int] = field(default_factory=dict)
    """Whatever else is counted: reconnects, damaged frames, …"""
    queues: dict[str, int] = field(default_factory=dict)
    """Items that wait, by buffer."""
    histograms: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def healthy(self) -> bool:
        """Whether pictures come and go."""
        return self.source_state == "connected" and self.sink_state == "connected"

    @property
    def lane_share(self) -> float:
        """Share of frames repaired, 0..1."""
        return self.lanes.get("enhance", 0) / max(1, sum(self.lanes.values()))

    def line(self) -> str:
        """All that matters on one line."""
        drops, back = sum(self.drops.values()), self.counts.get("source_reconnects", 0)
        state = "" if self.healthy else f"  {self.source_state}/{self.sink_state}: {self.reason}"
        return (
            f"{self.name}  in {self.fps_in:.1f}  out {self.fps_out:.1f} fps  latency {self.latency_p50_ms:.0f}/"
            f"{self.latency_p99_ms:.0f} ms  repaired {100 * self.lane_share:.0f} %  {self.tier}  "
            f"drops {drops}  reconnects {back + self.counts.get('sink_reconnects', 0)}{state}"
        )
