"""Live source: lost connections, stalls, packet loss, timestamp errors, and placeholders."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from deepclarity.errors import SourceError
from deepclarity.stream.frame import Placeholder
from deepclarity.stream.live.source import LiveSource
from deepclarity.stream.live.state import State, Timeouts
from deepclarity.stream.rtsp.address import camera_address, source_address
from deepclarity.stream.rtsp.adts import audio_specific_config, strip_adts_header
from deepclarity.stream.rtsp.reader_process import reason_of
from tests.rtsp.publisher import Publisher
from tests.rtsp.relay_command import descendants, resources
from tests.rtsp.server.server import RtspServer
from tests.stream.live.frames import (
    SHORT_TIMEOUTS,
    is_slate,
    open_frames,
    read_until,
    real_frames,
    timestamps_increase,
)

CAMERA = "lavfi:testsrc2=size=320x180:rate=30,realtime"


@pytest.fixture
def server() -> Iterator[RtspServer]:
    with RtspServer() as running:
        yield running


def test_camera_frames_have_increasing_timestamps_and_arrival_times() -> None:
    with open_frames(LiveSource(camera_address(CAMERA))) as frames:
        received = read_until(frames, real_frames(20))
    assert timestamps_increase(received)
    assert {frame.size for frame in received if frame.placeholder is None} == {(320, 180)}
    assert all(time.monotonic() - frame.arrived_s < 20 for frame in received if frame.arrived_s)


def test_missing_camera_is_reported_at_once_and_retried(caplog: pytest.LogCaptureFixture) -> None:
    source = LiveSource(camera_address("/dev/video-that-is-not-there"))
    started_s = time.monotonic()
    with open_frames(source) as frames:
        read_until(frames, lambda frame: source.counts.failures >= 1)
        assert time.monotonic() - started_s < 2
        read_until(frames, lambda frame: source.counts.failures >= 2)
        assert 1.5 < time.monotonic() - started_s < 4
    assert [record.message for record in caplog.records] == [
        "camera /dev/video-that-is-not-there: there is no such device or path; retrying"
    ]


def test_unplugged_camera_shows_last_frame_then_slate_then_recovers() -> None:
    source = LiveSource(camera_address(CAMERA.replace("rate=30", "rate=30:duration=1")))
    with open_frames(source) as frames:
        read_until(frames, real_frames(1))
        before = read_until(frames, is_slate)
        after = read_until(frames, real_frames(5))
    kinds = [frame.placeholder for frame in before + after]
    first_held, first_slate = kinds.index(Placeholder.HELD), kinds.index(Placeholder.SLATE)
    assert first_held < first_slate
    assert timestamps_increase(before + after)
    assert source.counts.reconnects == 1
    gap_s = before[-1].time_s - next(f for f in reversed(before) if f.placeholder is None).time_s
    assert 1.0 <= gap_s < 1.4


def test_connection_reset_causes_one_reconnect_and_timestamps_increase(server: RtspServer) -> None:
    source = LiveSource(source_address(server.url("cam")), timeouts=SHORT_TIMEOUTS)
    with Publisher(server.url("cam"), rate=30), open_frames(source) as frames:
        received = read_until(frames, real_frames(10))
        server.reset_readers("cam")
        lost_s = time.monotonic()
        received += read_until(frames, lambda frame: source.state is State.RECONNECTING)
        received += read_until(frames, real_frames(10))
        assert time.monotonic() - lost_s < 5
    assert timestamps_increase(received)
    assert source.counts.reconnects == 1


def test_output_timestamps_advance_by_the_duration_of_an_outage(server: RtspServer) -> None:
    source = LiveSource(source_address(server.url("cam")), timeouts=SHORT_TIMEOUTS)
    with Publisher(server.url("cam"), rate=30), open_frames(source) as frames:
        before = read_until(frames, real_frames(30))
        server.refuse_connections()
        server.reset_all()
        read_until(frames, is_slate)
        server.accept()
        after = read_until(frames, real_frames(5))
    last, first = before[-1], next(frame for frame in after if frame.placeholder is None)
    assert last.arrived_s
    assert first.arrived_s
    assert abs((first.time_s - last.time_s) - (first.arrived_s - last.arrived_s)) <= 2 / 30


def test_timestamp_jumps_are_corrected(server: RtspServer) -> None:
    source = LiveSource(source_address(server.url("cam")), timeouts=SHORT_TIMEOUTS)
    with Publisher(server.url("cam"), rate=30), open_frames(source) as frames:
        received = read_until(frames, real_frames(15))
        server.shift_timestamps("cam", -9800)
        received += read_until(frames, real_frames(15))
        server.shift_timestamps("cam", 37600)
        received += read_until(frames, real_frames(15))
    real = [frame for frame in received if frame.placeholder is None]
    assert timestamps_increase(received)
    assert max(later.time_s - earlier.time_s for earlier, later in pairwise(real[10:])) < 0.2
    assert source.counts.retimed == 2
    assert source.counts.reconnects == 0


def test_size_and_codec_changes_keep_timestamps_increasing(server: RtspServer) -> None:
    source = LiveSource(source_address(server.url("cam")), timeouts=SHORT_TIMEOUTS)
    with open_frames(source) as frames:
        with Publisher(server.url("cam"), size=(640, 360), rate=30) as camera:
            received = read_until(frames, real_frames(10))
            camera.resize((320, 240))
            received += read_until(frames, lambda frame: frame.size == (320, 240))
        with Publisher(server.url("cam"), size=(320, 240), rate=30, codec="libx265"):
            received += read_until(frames, lambda frame: source.counts.changes >= 2)
    assert timestamps_increase(received)


def test_lost_packets_are_counted_and_frames_marked_damaged(server: RtspServer) -> None:
    source = LiveSource(source_address(server.url("cam"), transport="udp"), timeouts=SHORT_TIMEOUTS)
    with Publisher(server.url("cam"), rate=30, gop=15), open_frames(source) as frames:
        read_until(frames, real_frames(20))
        server.loss = 0.25
        lossy = read_until(frames, real_frames(60))
        server.loss = 0.0
        read_until(frames, real_frames(40))
        clean = read_until(frames, real_frames(20))
    assert source.counts.lost_packets > 0
    assert source.counts.damaged_frames > 0
    assert any(not frame.intact for frame in lossy)
    assert all(frame.intact for frame in clean)


def test_frozen_publisher_is_detected_without_leaking_threads_or_descriptors(server: RtspServer) -> None:
    source = LiveSource(source_address(server.url("cam")), timeouts=Timeouts(open_s=1.0, stall_s=0.5))
    with Publisher(server.url("cam"), rate=30), open_frames(source) as frames:
        read_until(frames, real_frames(10))
        threads, descriptors, _ = resources(os.getpid())
        for _ in range(3):
            server.stall("cam")
            read_until(frames, lambda frame: source.state is State.RECONNECTING)
            server.resume("cam")
            read_until(frames, real_frames(3))
        assert resources(os.getpid())[0] <= threads
        assert resources(os.getpid())[1] <= descriptors
    assert source.counts.reconnects >= 3


def test_audio_without_video_counts_as_a_stall(server: RtspServer) -> None:
    source = LiveSource(source_address(server.url("cam")), timeouts=SHORT_TIMEOUTS)
    with Publisher(server.url("cam"), rate=30, with_audio=True), open_frames(source) as frames:
        read_until(frames, real_frames(10))
        server.drop_video("cam")
        received = read_until(frames, lambda frame: source.state is State.RECONNECTING)
    assert source.reason == "no picture for 1.5 s"
    assert any(is_slate(frame) for frame in received)


def test_killed_reader_process_is_replaced(server: RtspServer) -> None:
    source = LiveSource(source_address(server.url("cam")), timeouts=SHORT_TIMEOUTS)
    with Publisher(server.url("cam"), rate=30) as camera, open_frames(source) as frames:
        others = set(descendants(os.getpid()))
        read_until(frames, real_frames(10))
        (reader,) = set(descendants(os.getpid())) - others
        os.kill(reader, signal.SIGKILL)
        read_until(frames, lambda frame: source.counts.reconnects == 1)
        assert camera.errors == []


def test_silent_server_times_out_on_open(server: RtspServer) -> None:
    server.silent = True
    source = LiveSource(source_address(server.url("cam")), timeouts=SHORT_TIMEOUTS)
    started_s = time.monotonic()
    with open_frames(source) as frames:
        read_until(frames, lambda frame: source.counts.failures >= 1)
    assert 1.8 < time.monotonic() - started_s < 6
    assert source.reason == "no answer in 2 s"


@pytest.mark.parametrize(
    ("user", "reason"), [("ann:wrong", "user or password refused"), ("ann:p@s:/#%w", "")], ids=["wrong", "right"]
)
def test_passwords_with_special_characters_authenticate(user: str, reason: str) -> None:
    with RtspServer(users={"ann": "p@s:/#%w"}) as server, Publisher(server.url("cam", user="ann")):
        source = LiveSource(source_address(server.url("cam").replace("//", f"//{user}@")), timeouts=SHORT_TIMEOUTS)
        with open_frames(source) as frames:
            read_until(frames, lambda frame: source.ever_connected or source.counts.failures > 0)
        assert source.reason == reason


def test_file_is_played_at_its_frame_rate_and_ends(make_clip: Callable[..., Path]) -> None:
    path = make_clip(count=25, rate=25)
    started_s = time.monotonic()
    with open_frames(LiveSource(source_address(str(path)))) as frames:
        received = [frame for frame in frames if frame.placeholder is None]
    assert len(received) == 25
    assert time.monotonic() - started_s > 0.9


def test_file_without_video_raises_source_error(tmp_path: Path) -> None:
    path = tmp_path / "words.mp4"
    path.write_text("no video")
    with (
        pytest.raises(SourceError, match="no video that FFmpeg can read"),
        open_frames(LiveSource(source_address(str(path)))) as frames,
    ):
        for frame in frames:
            assert frame.placeholder is not None  # slates, while the reader process is still starting


def test_audio_packets_have_timestamps_on_the_video_timeline(server: RtspServer) -> None:
    source = LiveSource(source_address(server.url("cam")), timeouts=SHORT_TIMEOUTS)
    with Publisher(server.url("cam"), rate=30, with_audio=True), open_frames(source) as frames:
        received = read_until(frames, real_frames(45))
    assert source.audio_format is not None
    assert source.audio_format.codec == "aac"
    audio_times = [packet.time_s for packet in source.audio]
    assert len(audio_times) > 20
    assert audio_times == sorted(audio_times)
    assert abs(audio_times[-1] - received[-1].time_s) < 0.5


def test_adts_header_becomes_an_audio_specific_config() -> None:
    header = bytes([0xFF, 0xF1, 0x4C, 0x80, 0x01, 0x7F, 0xFC])  # ADTS: AAC-LC, 48 kHz, stereo, no checksum
    assert strip_adts_header(header + b"audio") == b"audio"
    assert strip_adts_header(b"audio without header") == b"audio without header"
    assert audio_specific_config(48_000, 2) == bytes([0x11, 0x90])
    assert audio_specific_config(44_100, 1) == bytes([0x12, 0x08])
    assert audio_specific_config(1234, 2) is None


@pytest.mark.parametrize(
    ("number", "text"),
    [(errno.EBUSY, "another program"), (errno.EACCES, "no permission"), (errno.ENODEV, "no such device")],
)
def test_camera_error_messages_are_plain_and_hide_passwords(number: int, text: str) -> None:
    assert text in reason_of(OSError(number, "v4l2 message", "rtsp://u:secret@cam"))
    assert "secret" not in reason_of(OSError(errno.EIO, "Input/output error", "rtsp://u:secret@cam"))


def test_reader_process_ends_with_its_parent() -> None:
    before = descendants(os.getpid())
    with open_frames(LiveSource(camera_address(CAMERA))) as frames:
        read_until(frames, real_frames(3))
        assert len(descendants(os.getpid())) == len(before) + 1
    assert descendants(os.getpid()) == before
