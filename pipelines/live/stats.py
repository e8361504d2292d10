"""Statistics of a live stream: frame rates, latency, histograms, and snapshots of them."""

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

_LATENCY_FRAMES = 300
_LATENCY_MAX_AGE_S = 10.0
_RATE_WINDOW_S = 2.0


@dataclass(slots=True)
class Histogram:
    """A histogram of seconds, with the buckets `BOUNDS_S`."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    """Values per bucket; the last bucket holds everything above the highest bound."""
    sum_s: float = 0.0

    def add(self, seconds: float) -> None:
        """Add one value."""
        self.counts[bisect.bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds


class Rate:
    """Events per second, averaged over the last two seconds."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=512)

    def tick(self) -> None:
        """Record one event, now."""
        self._times.append(time.monotonic())

    @property
    def per_s(self) -> float:
        """Events per second over the last two seconds."""
        since = time.monotonic() - _RATE_WINDOW_S
        return sum(time_s >= since for time_s in tuple(self._times)) / _RATE_WINDOW_S


class LiveStats:
    """Measurements of one running stream."""

    def __init__(self) -> None:
        self.stages = {"detect": Histogram(), "repair": Histogram(), "encode": Histogram()}
        """Seconds per frame in each stage."""
        self.age = Histogram()
        """Seconds from a frame's arrival to the sink."""
        self.arrivals = Rate()
        self.departures = Rate()
        self._recent: deque[tuple[float, float]] = deque(maxlen=_LATENCY_FRAMES)

    def record_latency(self, age_s: float) -> None:
        """Record a frame that reached the sink `age_s` after its arrival."""
        self.age.add(age_s)
        self._recent.append((time.monotonic(), age_s))

    def histograms(self) -> dict[str, dict[str, Any]]:
        """All histograms as plain values: `counts` per bucket and `sum_s`."""
        histograms = {**{f"stage_{name}": stage for name, stage in self.stages.items()}, "age": self.age}
        return {name: {"counts": list(each.counts), "sum_s": each.sum_s} for name, each in histograms.items()}

    def latency_ms(self, share: float) -> float:
        """Quantile `share` (0..1) of the last 300 frames' latency, in milliseconds; 0 if there were none for 10 s."""
        since = time.monotonic() - _LATENCY_MAX_AGE_S
        ages = sorted(age_s for time_s, age_s in tuple(self._recent) if time_s >= since)
        return 1000 * ages[min(len(ages) - 1, int(share * len(ages)))] if ages else 0.0


class LiveSummary(Summary):
    """A `Summary` that also updates the stream's stats."""

    def __init__(self, stats: LiveStats) -> None:
        super().__init__()
        self.stats = stats

    def add_stage_time(self, stage: str, seconds: float) -> None:
        """Add to a stage's busy time."""
        super().add_stage_time(stage, seconds)
        self.stats.stages["detect" if stage == "detect" else "repair"].add(seconds)

    def count_arrivals(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Pass frames on, and count those that are not placeholders."""
        with contextlib.ExitStack() as stack:
            iterator = iter(frames)
            if isinstance(iterator, Generator):
                stack.callback(iterator.close)
            for frame in iterator:
                if frame.placeholder is None:
                    self.frames_in += 1
                    self.stats.arrivals.tick()
                yield frame


@dataclass(slots=True)
class StatsSnapshot:
    """The state of a stream at one moment: plain values, for JSON and for the metrics."""

    name: str
    source: str = ""
    sink: str = ""
    source_state: str = "connecting"
    sink_state: str = "connecting"
    reason: str = ""
    """Why the source or the sink is not connected."""
    tier: str = ""
    fps_in: float = 0.0
    fps_out: float = 0.0
    latency_p50_ms: float = 0.0
    latency_p99_ms: float = 0.0
    lanes: dict[str, int] = field(default_factory=dict)
    """Frames by lane."""
    kinds: dict[str, int] = field(default_factory=dict)
    """Frames by kind: clean, pixelated, blocky, …"""
    drops: dict[str, int] = field(default_factory=dict)
    """Dropped frames by reason."""
    counts: dict[str, int] = field(default_factory=dict)
    """Other counters: reconnections, damaged frames, …"""
    queues: dict[str, int] = field(default_factory=dict)
    """Waiting items by buffer."""
    histograms: dict[str, dict[str, Any]] = field(default_factory=dict)
    """As returned by `LiveStats.histograms`."""

    @property
    def healthy(self) -> bool:
        """Whether source and sink are both connected."""
        return self.source_state == "connected" and self.sink_state == "connected"

    @property
    def repaired_share(self) -> float:
        """Share of frames repaired, 0..1."""
        return self.lanes.get("enhance", 0) / max(1, sum(self.lanes.values()))

    def line(self) -> str:
        """A one-line summary for a terminal or a log."""
        drops = sum(self.drops.values())
        reconnects = self.counts.get("source_reconnects", 0) + self.counts.get("sink_reconnects", 0)
        state = "" if self.healthy else f"  {self.source_state}/{self.sink_state}: {self.reason}"
        return (
            f"{self.name}  in {self.fps_in:.1f}  out {self.fps_out:.1f} fps  latency {self.latency_p50_ms:.0f}/"
            f"{self.latency_p99_ms:.0f} ms  repaired {100 * self.repaired_share:.0f} %  {self.tier}  "
            f"drops {drops}  reconnects {reconnects}{state}"
        )
