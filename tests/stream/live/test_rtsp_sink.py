"""RTSP sink: a lost, stalled or refusing server never blocks `write`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from deepclarity.stream.frame import Frame
from deepclarity.stream.live.encode import LiveEncodeSettings
from deepclarity.stream.live.rtsp_sink import RtspSink
from deepclarity.stream.live.state import State
from deepclarity.stream.packets import RTP_TIME_BASE
from deepclarity.stream.rtsp.address import sink_address
from tests.rtsp.server.server import RtspServer
from tests.rtsp.viewer import Viewer

SIZE = (640, 360)
RATE = 30
BLOCKED_S = 1.5
"""A write that waits for the server takes 2 s; encoding a frame of noise takes less than this on a busy machine."""


@pytest.fixture
def server() -> Iterator[RtspServer]:
    with RtspServer() as running:
        yield running


def open_sink(server: RtspServer, **options: object) -> RtspSink:
    return RtspSink(sink_address(server.url("out")), size=SIZE, rate=Fraction(RATE), timeout_s=2.0, **options)  # type: ignore[arg-type]


def noise_frames() -> Iterator[Frame]:
    """Frames of moving noise, which is hard to encode, at `RATE` in real time."""
    rng = np.random.default_rng(1)
    noise = rng.integers(16, 235, (SIZE[1], SIZE[0] * 2), np.uint8)
    grey = np.full((SIZE[1] // 2, SIZE[0] // 2), 128, np.uint8)
    started_s = time.monotonic()
    for number in range(100_000):
        time.sleep(max(0.0, started_s + number / RATE - time.monotonic()))
        luma = np.ascontiguousarray(noise[:, number * 2 % SIZE[0] :][:, : SIZE[0]])
        pts = round(number / RATE / RTP_TIME_BASE)
        yield Frame((luma, grey, grey), number, pts, RTP_TIME_BASE, arrived_s=time.monotonic())


def write_until(
    sink: RtspSink, frames: Iterator[Frame], condition: Callable[[], object], *, timeout_s: float = 15
) -> float:
    """Write frames until `condition()` is true; returns the longest duration of a write, in seconds."""
    deadline, longest = time.monotonic() + timeout_s, 0.0
    for frame in frames:
        started_s = time.monotonic()
        sink.write(frame)
        longest = max(longest, time.monotonic() - started_s)
        if condition():
            break
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {sink.state}, {sink.counts}"
    return longest


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_viewer_receives_published_frames_and_the_session_is_closed(server: RtspServer, codec: str) -> None:
    frames, ages = noise_frames(), list[float]()
    with open_sink(server, encoding=LiveEncodeSettings(codec), on_written=ages.append) as sink:
        write_until(sink, frames, lambda: sink.state is State.CONNECTED)
        with Viewer(server.url("out")) as viewer:
            write_until(sink, frames, lambda: len(viewer.frames) >= 30)
            received = viewer.frames
    assert {(frame.width, frame.height) for frame in received} == {SIZE}
    assert all(later.pts_s > earlier.pts_s for earlier, later in pairwise(received))  # type: ignore[operator]
    assert server.teardowns("out") == 1
    assert len(ages) == sink.counts.written > 30


def test_late_viewer_gets_a_picture_at_the_next_key_frame(server: RtspServer) -> None:
    frames = noise_frames()
    with open_sink(server) as sink:
        write_until(sink, frames, lambda: sink.counts.written > 20)
        started_s = time.monotonic()
        with Viewer(server.url("out")) as viewer:
            write_until(sink, frames, lambda: len(viewer.frames) >= 1)
        assert time.monotonic() - started_s < 4


def test_publishing_resumes_after_a_server_restart(server: RtspServer) -> None:
    frames = noise_frames()
    with open_sink(server) as sink:
        write_until(sink, frames, lambda: sink.counts.written > 10)
        server.stop()
        longest = write_until(sink, frames, lambda: sink.counts.failures >= 2)
        server.start()
        restarted_s = time.monotonic()
        longest = max(longest, write_until(sink, frames, lambda: sink.state is State.CONNECTED))
        assert time.monotonic() - restarted_s < 5
        write_until(sink, frames, lambda: server.received_bytes("out") > 0 and sink.counts.written > 30)
    assert longest < BLOCKED_S
    assert sink.counts.reconnects == 1
    assert sink.counts.dropped > 0


def test_sink_reconnects_when_the_server_stops_reading(server: RtspServer) -> None:
    frames = noise_frames()
    with open_sink(server) as sink:
        write_until(sink, frames, lambda: sink.counts.written > 10)
        server.stop_reading("out")
        longest = write_until(sink, frames, lambda: sink.counts.reconnects == 1, timeout_s=25)
        assert sink.waiting < 100
    assert longest < BLOCKED_S
    assert server.sessions("out") == 2


def test_refused_connection_is_logged_once(server: RtspServer, caplog: pytest.LogCaptureFixture) -> None:
    server.reject_publish = True
    frames = noise_frames()
    with open_sink(server) as sink:
        write_until(sink, frames, lambda: sink.counts.failures >= 2)
        assert sink.state is State.CONNECTING
        server.reject_publish = False
        write_until(sink, frames, lambda: sink.state is State.CONNECTED)
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "refused" in warnings[0]


def test_silent_server_does_not_block_write_or_close(server: RtspServer) -> None:
    server.silent = True
    frames = noise_frames()
    with open_sink(server) as sink:
        longest = write_until(sink, frames, lambda: sink.counts.failures >= 1)
        assert longest < BLOCKED_S
        started_s = time.monotonic()
    assert time.monotonic() - started_s < 3
    assert sink.counts.written == 0


@pytest.mark.slow
def test_key_frames_are_two_seconds_apart(server: RtspServer) -> None:
    frames = noise_frames()
    with open_sink(server) as sink:
        write_until(sink, frames, lambda: sink.state is State.CONNECTED)
        with Viewer(server.url("out")) as viewer:
            write_until(sink, frames, lambda: len(viewer.frames) >= 150, timeout_s=20)
            keys = [frame.pts_s for frame in viewer.frames if frame.keyframe]
    assert len(keys) >= 2
    assert all(abs((later or 0) - (earlier or 0) - 2.0) < 0.1 for earlier, later in pairwise(keys))
