"""The RTSP server, publisher and viewer used by other tests."""

from __future__ import annotations

import itertools
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from functools import partial

import cv2
import numpy as np
import pytest

from tests.rtsp import gstreamer
from tests.rtsp.frame_numbers import read_number, write_number
from tests.rtsp.publisher import Publisher
from tests.rtsp.server.server import RtspServer, Scheme
from tests.rtsp.viewer import ViewedFrame, Viewer

PASSWORD = "p@s:/#%w"

small_publisher = partial(Publisher, size=(320, 180), gop=5)
"""Cheap to encode, with frequent key frames."""


@pytest.fixture
def server() -> Iterator[RtspServer]:
    with RtspServer() as running:
        yield running
    assert not [thread.name for thread in threading.enumerate() if "rtsp" in thread.name]


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_published_video_is_viewed_without_delay(server: RtspServer, transport: str):
    with small_publisher(server.url("cam")) as publisher, Viewer(server.url("cam"), transport=transport) as viewer:
        frames = viewer.wait_for_frames(15)
    numbers = [frame.number for frame in frames]
    assert numbers == list(range(numbers[0], numbers[0] + 15))
    assert statistics.median(publisher.latency_s(frame.number, frame.at) for frame in frames) < 0.15
    assert (frames[0].width, frames[0].height, frames[0].keyframe) == (320, 180, True)
    assert not viewer.errors


def test_server_logs_requests(server: RtspServer):
    with small_publisher(server.url("cam")) as publisher:
        publisher.wait_for_frames(10)
    server.wait_for(lambda: server.teardowns("cam"))
    methods = [request.method for request in server.requests if request[1:] == ("cam", "publisher")]
    assert methods == ["ANNOUNCE", "SETUP", "RECORD", "TEARDOWN"]
    assert server.sessions("cam") == 1
    assert server.received_bytes("cam") > 1000
    times = [arrival.rtp for arrival in server.arrivals("cam")]
    assert set(np.diff(times) % (1 << 32)) == {90_000 // 25}


@pytest.mark.parametrize("scheme", Scheme)
def test_server_requires_authentication(scheme: Scheme):
    with RtspServer(users={"ann": PASSWORD}, scheme=scheme) as server:
        with small_publisher(server.url("cam", user="ann")), Viewer(server.url("cam", user="ann")) as viewer:
            viewer.wait_for_frames(3)
        with Viewer(server.url("cam")) as peer:
            peer.wait_for_end()
    assert not peer.frames
    assert "Unauthorized" in peer.errors[0]


def test_reset_disconnects_the_reader_and_the_publisher_reconnects(server: RtspServer):
    with small_publisher(server.url("cam")) as publisher, Viewer(server.url("cam")) as viewer:
        viewer.wait_for_frames(3)
        server.reset("cam")
        viewer.wait_for_end()
        server.wait_for(lambda: server.sessions("cam") == 2)
        publisher.wait_for_frames(3)


def test_stall_keeps_the_connection_open(server: RtspServer):
    with small_publisher(server.url("cam")), Viewer(server.url("cam")) as viewer:
        viewer.wait_for_frames(3)
        server.stall()
        frames_before, bytes_before = len(viewer.frames), server.received_bytes("cam")
        server.wait_for(lambda: server.received_bytes("cam") > bytes_before + 20_000)
        assert len(viewer.frames) <= frames_before + 3
        assert not viewer.ended
        server.resume()
        viewer.wait_for_frames(15)
    assert server.sessions("cam") == 1


def test_restarted_server_listens_on_the_same_port(server: RtspServer):
    with small_publisher(server.url("cam")) as publisher:
        port = server.port
        server.stop()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        server.start()
        assert server.port == port
        server.wait_for(lambda: server.sessions("cam") == 2)
        publisher.wait_for_frames(3)


def test_refusing_connections_keeps_existing_ones(server: RtspServer):
    with small_publisher(server.url("cam")) as publisher:
        server.refuse_connections()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port))
        publisher.wait_for_frames(3)
        server.accept()
        with Viewer(server.url("cam")) as viewer:
            viewer.wait_for_frames(3)
    assert server.sessions("cam") == 1


def test_viewer_survives_lost_datagrams(server: RtspServer):
    server.loss = 0.1
    with small_publisher(server.url("cam")), Viewer(server.url("cam"), transport="udp") as viewer:
        viewer.wait_for(lambda frames: server.network.lost > 2 and len(frames) > 15)


def test_silent_server_sends_no_response(server: RtspServer):
    server.silent = True
    with socket.create_connection(("127.0.0.1", server.port), timeout=0.3) as caller:
        caller.sendall(b"OPTIONS rtsp://127.0.0.1/cam RTSP/1.0\r\nCSeq: 1\r\n\r\n")
        with pytest.raises(TimeoutError):
            caller.recv(1)
    assert server.requests == [("OPTIONS", "cam", "?")]


def test_unknown_path_gives_readers_404_and_publishers_403(server: RtspServer):
    server.not_found = server.reject_publish = True
    publisher = small_publisher(server.url("cam"))
    with Viewer(server.url("cam")) as viewer:
        viewer.wait_for_end()
        server.wait_for(lambda: publisher.errors)
        publisher.stop()
    assert "NotFound" in viewer.errors[0]
    assert "Forbidden" in publisher.errors[0]


def test_server_that_stops_reading_blocks_the_publisher(server: RtspServer):
    with Publisher(server.url("cam"), size=(1280, 720)) as publisher:
        server.stop_reading("cam")
        deadline = time.monotonic() + 8
        while time.monotonic() - max(publisher.sent.values()) < 0.5:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        server.resume_reading("cam")
        publisher.wait_for_frames(10)
    assert server.sessions("cam") == 1


def test_unfrozen_publisher_continues_with_the_current_picture(server: RtspServer):
    with small_publisher(server.url("cam")) as publisher:
        publisher.freeze()
        server.wait_for(lambda: time.monotonic() - server.arrivals("cam")[-1].at > 1)
        publisher.unfreeze()
        publisher.wait_for_frames(3)
    steps = np.diff([arrival.rtp for arrival in server.arrivals("cam")]) % (1 << 32)
    assert 0.9 < max(steps) / 90_000 < 2
    assert sorted(steps)[-2] == 90_000 // 25


def test_size_changes_within_a_session(server: RtspServer):
    with small_publisher(server.url("cam")) as publisher, Viewer(server.url("cam")) as viewer:
        viewer.wait_for_frames(3)
        publisher.resize((640, 480), new_session=False)
        viewer.wait_for(lambda frames: frames[-1].width == 640)
        assert viewer.wait_for_frames(3)[-1].number is not None
    assert server.sessions("cam") == 1


def test_new_session_changes_codec_size_and_audio(server: RtspServer):
    with small_publisher(server.url("cam")) as publisher, Viewer(server.url("cam")) as viewer:
        viewer.wait_for_frames(3)
        publisher.resize((640, 480))
        viewer.wait_for_end()
    with (
        Publisher(server.url("cam"), codec="libx265", with_audio=True, block_px=4),
        Viewer(server.url("cam"), open_timeout_s=5) as viewer,
    ):
        frames = viewer.wait_for_frames(5)
    assert (viewer.codec, viewer.audio_codec) == ("hevc", "aac")
    assert None not in [frame.number for frame in frames]
    assert server.sessions("cam") == 3


def test_shift_timestamps_affects_one_picture(server: RtspServer):
    with small_publisher(server.url("cam")), Viewer(server.url("cam")) as viewer:
        viewer.wait_for_frames(2)
        server.shift_timestamps("cam", -9800)
        viewer.wait_for(lambda frames: len(_jumps(frames)) == 2)
    assert _jumps(viewer.frames) == [-9800, 9800]


def test_rtp_timestamp_wraparound_is_invisible_to_readers(server: RtspServer):
    with small_publisher(server.url("cam")) as publisher:
        server.wrap_timestamps_after("cam", 1.5)
        publisher.wait_for_frames(2)
        with Viewer(server.url("cam")) as viewer:
            viewer.wait_for(lambda _: len(publisher.sent) > 50)
    assert set(np.round(_steps(viewer.frames), 3)) == {0.04}


@pytest.mark.parametrize("size", [(320, 180), (640, 480), (1920, 800)])
@pytest.mark.parametrize("number", [0, 1, 43690, 65535])
def test_frame_number_is_readable_after_bars_and_scaling(size: tuple[int, int], number: int):
    luma = np.full((size[1], size[0]), 120, np.uint8)
    write_number(luma, number)
    scale = min(1920 / size[0], 1080 / size[1])
    width, height = round(size[0] * scale), round(size[1] * scale)
    screen = np.full((1080, 1920), 16, np.uint8)
    top, left = (1080 - height) // 2, (1920 - width) // 2
    screen[top : top + height, left : left + width] = cv2.resize(luma, (width, height), interpolation=cv2.INTER_CUBIC)
    assert read_number(screen) == number
    assert read_number(np.full_like(screen, 16)) is None


def test_gstreamer_server_serves_and_records():
    if reason := gstreamer.missing_gstreamer():
        pytest.skip(reason)
    with gstreamer.GstreamerServer() as peer:
        assert gstreamer.ffmpeg_read(peer.url("pattern"), seconds=0.5) > 8
        with small_publisher(peer.url("record")):
            peer.wait_for_recorded(10)


def test_ffmpeg_command_publishes(server: RtspServer):
    if reason := gstreamer.missing_ffmpeg():
        pytest.skip(reason)
    with gstreamer.ffmpeg_publisher(server.url("cam")), Viewer(server.url("cam"), open_timeout_s=5) as viewer:
        viewer.wait_for_frames(5)


def _steps(frames: list[ViewedFrame]) -> list[float]:
    moments = [frame.pts_s for frame in frames if frame.pts_s is not None]
    return [after - before for before, after in itertools.pairwise(moments)]


def _jumps(frames: list[ViewedFrame]) -> list[int]:
    """Steps of more than a second; FFmpeg takes a large backward step for a 32-bit wraparound."""
    wrap_s = (1 << 32) / 90_000
    return [round((step + wrap_s / 2) % wrap_s - wrap_s / 2) for step in _steps(frames) if abs(step) > 1]
