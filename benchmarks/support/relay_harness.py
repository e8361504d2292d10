"""Test bench of the live benchmarks: a camera, two servers, a relay and a viewer."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # uses the tests' server, camera and viewer

from tests.rtsp.publisher import Publisher
from tests.rtsp.relay_command import CliProcess, descendants, resources
from tests.rtsp.server.server import RtspServer
from tests.rtsp.viewer import ViewedFrame, Viewer

RATE = 30


@dataclass
class RelayBench:
    """The processes of one measurement: servers, relay, viewer and camera."""

    server: RtspServer
    """Server of the source, path `cam`."""
    target: RtspServer
    """Server that the relay publishes to, path `out`."""
    command: CliProcess
    viewer: Viewer
    camera: Publisher | None = None
    samples: list[dict[str, float]] = field(default_factory=list)

    def sample(self) -> dict[str, float]:
        """Measure the memory, threads and descriptors of the relay and its child processes."""
        pids = [self.command.process.pid, *descendants(self.command.process.pid)]
        usage = []
        for pid in pids:
            try:
                usage.append(resources(pid))
            except (FileNotFoundError, TypeError):  # the process has just ended
                continue
        threads, descriptors, _ = resources(self.command.process.pid)
        sample = {
            "at_s": time.monotonic(),
            "megabytes": sum(megabytes for _, _, megabytes in usage),
            "main_megabytes": resources(self.command.process.pid)[2],
            "threads": threads,
            "descriptors": descriptors,
        }
        self.samples.append(sample)
        return sample


@contextmanager
def relay_bench(
    *options: str,
    camera: bool = True,
    block_px: float | None = 4,
    transport: str = "tcp",
    timeout_s: float = 5.0,
    watch: bool = True,
) -> Iterator[RelayBench]:
    """Camera → `cam` of one server → relay → `out` of another → viewer, on the loopback."""
    with RtspServer() as server, RtspServer() as target:
        source = Publisher(server.url("cam"), rate=RATE, block_px=block_px) if camera else None
        if source is not None:
            source.__enter__()
        try:
            arguments = ("relay", server.url("cam"), target.url("out"), "--metrics", "0", "--transport", transport)
            with CliProcess(*arguments, "--timeout", str(timeout_s), *options) as command:
                open_timeout_s = 60.0 if watch else 0.0
                with Viewer(target.url("out"), open_timeout_s=open_timeout_s) as viewer:
                    yield RelayBench(server, target, command, viewer, source)
        finally:
            if source is not None:
                source.stop()


def slope_per_minute(times_s: Sequence[float], values: Sequence[float]) -> float:
    """Least-squares slope of `values` per minute."""
    if len(values) < 2:
        return 0.0
    return statistics.linear_regression([time_s / 60 for time_s in times_s], list(values)).slope


def percentile(values: Sequence[float], share: float) -> float:
    """The quantile `share` of the values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def timestamps_increase(frames: Sequence[ViewedFrame]) -> bool:
    """Whether the timestamps that a viewer received increase strictly."""
    times = [each.pts_s for each in frames if each.pts_s is not None]
    return all(one < other for one, other in pairwise(times))
