"""Publishing to a server that goes away, stops reading, or refuses: `write` never blocks."""

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


@pytest.fixture
def server() -> Iterator[RtspServer]:
    with RtspServer() as running:
        yield running


def sink(server: RtspServer, **options: object) -> RtspSink:
    return RtspSink(sink_address(server.url("out")), size=SIZE, rate=Fraction(RATE), timeout_s=2.0, **options)  # type: ignore[arg-type]


def frames() -> Iterator[Frame]:
    """Moving noise, which is hard to encode, in real time."""
    rng = np.random.default_rng(1)
    noise = rng.integers(16, 235, (SIZE[1], SIZE[0] * 2), np.uint8)
    grey = np.full((SIZE[1] // 2, SIZE[0] // 2), 128, np.uint8)
    began = time.monotonic()
    for number in range(100_000):
        time.sleep(max(0.0, began + number / RATE - time.monotonic()))
        luma = np.ascontiguousarray(noise[:, number * 2 % SIZE[0] :][:, : SIZE[0]])
        pts = round(number / RATE / RTP_TIME_BASE)
        yield Frame((luma, grey, grey), number, pts, RTP_TIME_BASE, arrived_s=time.monotonic())


def write_until(
    target: RtspSink, shown: Iterator[Frame], enough: Callable[[], object], *, limit_s: float = 15
) -> float:
    """Write frames until `enough`; returns the longest duration of a write."""
    deadline, longest = time.monotonic() + limit_s, 0.0
    for frame in shown:
        began = time.monotonic()
        target.write(frame)
        longest = max(longest, time.monotonic() - began)
        if enough():
            break
        assert time.monotonic() < deadline, f"not within {limit_s} s: {target.state}, {target.counts}"
    return longest


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_published_frames_are_received_and_the_session_is_closed(server: RtspServer, codec: str) -> None:
    shown, ages = frames(), list[float]()
    with sink(server, encoding=LiveEncodeSettings(codec), on_written=ages.append) as target:
        write_until(target, shown, lambda: target.state is State.CONNECTED)
        with Viewer(server.url("out")) as viewer:
            write_until(target, shown, lambda: len(viewer.frames) >= 30)
            seen = viewer.frames
    assert {(each.width, each.height) for each in seen} == {SIZE}
    assert all(other.pts_s > one.pts_s for one, other in pairwise(seen))  # type: ignore[operator]
    assert server.teardowns("out") == 1
    assert len(ages) == target.counts.written > 30


def test_late_viewer_gets_a_picture_within_two_seconds(server: RtspServer) -> None:
    shown = frames()
    with sink(server) as target:
        write_until(target, shown, lambda: target.counts.written > 20)
        began = time.monotonic()
        with Viewer(server.url("out")) as viewer:
            write_until(target, shown, lambda: len(viewer.frames) >= 1)
        assert time.monotonic() - began < 4


def test_publishing_resumes_after_a_server_restart(server: RtspServer) -> None:
    shown = frames()
    with sink(server) as target:
        write_until(target, shown, lambda: target.counts.written > 10)
        server.stop()
        longest = write_until(target, shown, lambda: target.counts.failures >= 2)
        server.start()
        back_s = time.monotonic()
        longest = max(longest, write_until(target, shown, lambda: target.state is State.CONNECTED))
        assert time.monotonic() - back_s < 5
        write_until(target, shown, lambda: server.received_bytes("out") > 0 and target.counts.written > 30)
    assert longest < 0.5  # no write was blocked by it
    assert target.counts.reconnects == 1
    assert target.counts.dropped > 0


def test_server_that_stops_reading_is_reconnected(server: RtspServer) -> None:
    shown = frames()
    with sink(server) as target:
        write_until(target, shown, lambda: target.counts.written > 10)
        server.stop_reading("out")
        longest = write_until(target, shown, lambda: target.counts.reconnects == 1, limit_s=25)
        assert target.waiting < 100
    assert longest < 0.5
    assert server.sessions("out") == 2


def test_refused_connection_is_logged_once(server: RtspServer, caplog: pytest.LogCaptureFixture) -> None:
    server.reject_publish = True
    shown = frames()
    with sink(server) as target:
        write_until(target, shown, lambda: target.counts.failures >= 2)
        assert target.state is State.CONNECTING
        server.reject_publish = False
        write_until(target, shown, lambda: target.state is State.CONNECTED)
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "refused" in warnings[0]


def test_unreachable_server_blocks_neither_write_nor_close(server: RtspServer) -> None:
    server.silent = True
    shown = frames()
    with sink(server) as target:
        longest = write_until(target, shown, lambda: target.counts.failures >= 1)
        assert longest < 0.5
        began = time.monotonic()
    assert time.monotonic() - began < 3
    assert target.counts.written == 0


def test_key_frame_is_first_and_every_two_seconds(server: RtspServer) -> None:
    shown = frames()
    with sink(server) as target:
        write_until(target, shown, lambda: target.state is State.CONNECTED)
        with Viewer(server.url("out")) as viewer:
            write_until(target, shown, lambda: len(viewer.frames) >= 150, limit_s=20)
            keys = [each.pts_s for each in viewer.frames if each.keyframe]
    assert len(keys) >= 2
    assert all(abs((other or 0) - (one or 0) - 2.0) < 0.1 for one, other in pairwise(keys))
