"""Test bench for a relay: camera, servers and viewer. For the live benchmarks."""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # uses the tests' server, camera and viewer

from tests.rtsp.publisher import Publisher
from tests.rtsp.relay_command import Running, descendants, resources
from tests.rtsp.server.server import RtspServer
from tests.rtsp.viewer import Seen, Viewer

RATE = 30


@dataclass
class Stage:
    """All parts of one measurement."""

    server: RtspServer
    """Server of the source, path `cam`."""
    target: RtspServer
    """Server that the relay publishes to, path `out`."""
    running: Running
    viewer: Viewer
    camera: Publisher | None = None
    samples: list[dict[str, float]] = field(default_factory=list)

    def sample(self) -> dict[str, float]:
        """Memory, threads and descriptors of the relay and its processes, now."""
        pids = [self.running.process.pid, *descendants(self.running.process.pid)]
        found = []
        for pid in pids:
            try:
                found.append(resources(pid))
            except (FileNotFoundError, TypeError):  # the process has just ended
                continue
        threads, descriptors, _ = resources(self.running.process.pid)
        taken = {
            "at_s": time.monotonic(),
            "megabytes": sum(megabytes for _, _, megabytes in found),
            "main_megabytes": resources(self.running.process.pid)[2],
            "threads": threads,
            "descriptors": descriptors,
        }
        self.samples.append(taken)
        return taken


@contextmanager
def relay(
    *options: str,
    camera: bool = True,
    block_px: float | None = 4,
    transport: str = "tcp",
    timeout_s: float = 5.0,
    watch: bool = True,
) -> Iterator[Stage]:
    """Camera → `cam` of one server → relay → `out` of another → viewer, on the loopback."""
    with RtspServer() as server, RtspServer() as target:
        source = Publisher(server.url("cam"), rate=RATE, block_px=block_px) if camera else None
        if source is not None:
            source.__enter__()
        try:
            words = ("relay", server.url("cam"), target.url("out"), "--metrics", "0", "--transport", transport)
            with Running(*words, "--timeout", str(timeout_s), *options) as running:
                patience_s = 60.0 if watch else 0.0
                with Viewer(target.url("out"), patience_s=patience_s) as viewer:
                    yield Stage(server, target, running, viewer, source)
        finally:
            if source is not None:
                source.stop()


def rest(seconds: float) -> None:
    """Wait, while the relay runs."""
    threading.Event().wait(seconds)


def slope_per_minute(times_s: Sequence[float], values: Sequence[float]) -> float:
    """Least-squares slope of `values` per minute."""
    if len(values) < 2:
        return 0.0
    return statistics.linear_regression([time_s / 60 for time_s in times_s], list(values)).slope


def percentile(values: Sequence[float], share: float) -> float:
    """The quantile `share` of the values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def rises(seen: Sequence[Seen]) -> bool:
    """Whether the timestamps that a viewer received increase strictly."""
    times = [each.pts_s for each in seen if each.pts_s is not None]
    return all(one < other for one, other in pairwise(times))
