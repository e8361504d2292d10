"""Live source: losses, stalls, damage, timestamp errors, and what is shown meanwhile."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import dropwhile, pairwise
from pathlib import Path

import pytest

from deepclarity.errors import SourceError
from deepclarity.stream.frame import Frame, Placeholder
from deepclarity.stream.live.source import LiveSource
from deepclarity.stream.live.state import State, Timeouts
from deepclarity.stream.rtsp.address import camera_address, source_address
from deepclarity.stream.rtsp.adts import audio_specific_config, strip_adts_header
from deepclarity.stream.rtsp.reader_process import reason_of
from tests.rtsp.publisher import Publisher
from tests.rtsp.relay_command import descendants, resources
from tests.rtsp.server.server import RtspServer

PROMPT = Timeouts(open_s=2.0, stall_s=1.5)
CAMERA = "lavfi:testsrc2=size=320x180:rate=30,realtime"


@pytest.fixture
def server() -> Iterator[RtspServer]:
    with RtspServer() as running:
        yield running


@contextmanager
def watched(source: LiveSource) -> Iterator[Iterator[Frame]]:
    """The frames of `source`; its reader ends with the block."""
    with source, closing(iter(source)) as frames:  # type: ignore[type-var]
        yield frames


def until(frames: Iterator[Frame], enough: Callable[[Frame], bool], *, limit_s: float = 20.0) -> list[Frame]:
    """Frames up to the first for which `enough` is true."""
    deadline, seen = time.monotonic() + limit_s, []
    for frame in frames:
        seen.append(frame)
        if enough(frame):
            return seen
        assert time.monotonic() < deadline, f"not within {limit_s} s; {len(seen)} frames"
    raise AssertionError("the source ended")


def real(count: int) -> Callable[[Frame], bool]:
    """Condition: `count` real frames have arrived."""
    left = [count]

    def enough(frame: Frame) -> bool:
        left[0] -= frame.placeholder is None
        return left[0] <= 0

    return enough


def is_slate(frame: Frame) -> bool:
    return frame.placeholder is Placeholder.SLATE


def increasing(frames: list[Frame]) -> bool:
    """Whether timestamps increase strictly from the first picture on."""
    shown = dropwhile(lambda frame: frame.placeholder is not None, frames)
    return all(one.pts < other.pts for one, other in pairwise(shown))


def test_camera_frames_have_increasing_timestamps_and_arrival_times() -> None:
    with watched(LiveSource(camera_address(CAMERA))) as frames:
        seen = until(frames, real(20))
    assert increasing(seen)
    assert {frame.size for frame in seen if frame.placeholder is None} == {(320, 180)}
    assert all(time.monotonic() - frame.arrived_s < 20 for frame in seen if frame.arrived_s)


def test_missing_camera_is_reported_at_once_and_retried(caplog: pytest.LogCaptureFixture) -> None:
    source = LiveSource(camera_address("/dev/video-that-is-not-there"))
    began = time.monotonic()
    with watched(source) as frames:
        until(frames, lambda frame: source.counts.failures >= 1)
        assert time.monotonic() - began < 2
        until(frames, lambda frame: source.counts.failures >= 2)
        assert 1.5 < time.monotonic() - began < 4
    assert [record.message for record in caplog.records] == [
        "camera /dev/video-that-is-not-there: there is no such device or path; retrying"
    ]


def test_unplugged_camera_shows_last_frame_then_slate_then_recovers() -> None:
    source = LiveSource(camera_address(CAMERA.replace("rate=30", "rate=30:duration=1")))
    with watched(source) as frames:
        until(frames, real(1))
        before = until(frames, is_slate)
        after = until(frames, real(5))
    kinds = [frame.placeholder for frame in before + after]
    first_held, first_slate = kinds.index(Placeholder.HELD), kinds.index(Placeholder.SLATE)
    assert first_held < first_slate
    assert increasing(before + after)
    assert source.counts.reconnects == 1
    gap_s = before[-1].time_s - next(f for f in reversed(before) if f.placeholder is None).time_s
    assert 1.0 <= gap_s < 1.4


def test_connection_reset_is_one_reconnect_and_time_continues(server: RtspServer) -> None:
    source = LiveSource(source_address(server.url("cam")), timeouts=PROMPT)
    with Publisher(server.url("cam"), rate=30), watched(source) as frames:
        seen = until(frames, real(10))
        server.reset_readers("cam")
        lost_s = time.monotonic()
        seen += until(frames, lambda frame: source.state is State.RECONNECTING)
        seen += until(frames, real(10))
        assert time.monotonic() - lost_s < 5
    assert increasing(seen)
    assert source.counts.reconnects == 1


def test_outage_has_its_real_duration_in_output_time(server: RtspServer) -> None:
    source = LiveSource(source_address(server.url("cam")), timeouts=PROMPT)
    with Publisher(server.url("cam"), rate=30), watched(source) as frames:
        before = until(frames, real(30))
        server.refuse_connections()
        server.reset_all()
        until(frames, is_slate)
        server.accept()
        after = until(frames, real(5))
    last, first = before[-1], next(frame for frame in after if frame.placeholder is None)
    assert last.arrived_s
    assert first.arrived_s
    assert abs((first.time_s - last.time_s) - (first.arrived_s - last.arrived_s)) <= 2 / 30


def test_timestamp_jumps_are_corrected(server: RtspServer) -> None:
    source = LiveSource(source_address(server.url("cam")), timeouts=PROMPT)
    with Publisher(server.url("cam"), rate=30), watched(source) as frames:
        seen = until(frames, real(15))
        server.shift_timestamps("cam", -9800)
        seen += until(frames, real(15))
        server.shift_timestamps("cam", 37600)
        seen += until(frames, real(15))
    came = [frame for frame in seen if frame.placeholder is None]
    assert increasing(seen)
    assert max(other.time_s - one.time_s for one, other in pairwise(came[10:])) < 0.2
    assert source.counts.retimed == 2
    assert source.counts.reconnects == 0


def test_size_and_codec_change_midstream(server: RtspServer) -> None:
    source = LiveSource(source_address(server.url("cam")), timeouts=PROMPT)
    with watched(source) as frames:
        with Publisher(server.url("cam"), size=(640, 360), rate=30) as camera:
            seen = until(frames, real(10))
            camera.resize((320, 240))
            seen += until(frames, lambda frame: frame.size == (320, 240))
        with Publisher(server.url("cam"), size=(320, 240), rate=30, codec="libx265"):
            seen += until(frames, lambda frame: source.counts.changes >= 2)
    assert increasing(seen)


def test_lost_packets_are_counted_and_frames_marked_damaged(server: RtspServer) -> None:
    source = LiveSource(source_address(server.url("cam"), transport="udp"), timeouts=PROMPT)
    with Publisher(server.url("cam"), rate=30, gop=15), watched(source) as frames:
        until(frames, real(20))
        server.loss = 0.25
        lossy = until(frames, real(60))
        server.loss = 0.0
        until(frames, real(40))
        clean = until(frames, real(20))
    assert source.counts.lost_packets > 0
    assert source.counts.damaged_frames > 0
    assert any(not frame.intact for frame in lossy)
    assert all(frame.intact for frame in clean)


def test_frozen_publisher_is_detected_without_leaking_threads_or_descriptors(server: RtspServer) -> None:
    source = LiveSource(source_address(server.url("cam")), timeouts=Timeouts(open_s=1.0, stall_s=0.5))
    with Publisher(server.url("cam"), rate=30), watched(source) as frames:
        until(frames, real(10))
        threads, descriptors, _ = resources(os.getpid())
        for _ in range(3):
            server.stall("cam")
            until(frames, lambda frame: source.state is State.RECONNECTING)
            server.resume("cam")
            until(frames, real(3))
        assert resources(os.getpid())[0] <= threads
        assert resources(os.getpid())[1] <= descriptors
    assert source.counts.reconnects >= 3


def test_audio_without_video_counts_as_a_stall(server: RtspServer) -> None:
    source = LiveSource(source_address(server.url("cam")), timeouts=PROMPT)
    with Publisher(server.url("cam"), rate=30, with_audio=True), watched(source) as frames:
        until(frames, real(10))
        server.drop_video("cam")
        seen = until(frames, lambda frame: source.state is State.RECONNECTING)
    assert source.reason == "no picture for 1.5 s"
    assert any(is_slate(frame) for frame in seen)


def test_dead_reader_process_counts_as_a_lost_source(server: RtspServer) -> None:
    source = LiveSource(source_address(server.url("cam")), timeouts=PROMPT)
    with Publisher(server.url("cam"), rate=30) as camera, watched(source) as frames:
        others = set(descendants(os.getpid()))
        until(frames, real(10))
        (reader,) = set(descendants(os.getpid())) - others
        os.kill(reader, signal.SIGKILL)
        until(frames, lambda frame: source.counts.reconnects == 1)
        assert camera.errors == []


def test_silent_port_times_out(server: RtspServer) -> None:
    server.silent = True
    source = LiveSource(source_address(server.url("cam")), timeouts=PROMPT)
    began = time.monotonic()
    with watched(source) as frames:
        until(frames, lambda frame: source.counts.failures >= 1)
    assert 1.8 < time.monotonic() - began < 6
    assert source.reason == "no answer in 2 s"


@pytest.mark.parametrize(
    ("user", "reason"), [("ann:wrong", "user or password refused"), ("ann:p@s:/#%w", "")], ids=["wrong", "right"]
)
def test_passwords_with_special_characters_authenticate(user: str, reason: str) -> None:
    with RtspServer(users={"ann": "p@s:/#%w"}) as server, Publisher(server.url("cam", user="ann")):
        source = LiveSource(source_address(server.url("cam").replace("//", f"//{user}@")), timeouts=PROMPT)
        with watched(source) as frames:
            until(frames, lambda frame: source.ever_connected or source.counts.failures > 0)
        assert source.reason == reason


def test_file_is_paced_at_its_own_rate_and_ends(make_clip: Callable[..., Path]) -> None:
    path = make_clip(count=25, rate=25)
    began = time.monotonic()
    with watched(LiveSource(source_address(str(path)))) as frames:
        seen = [frame for frame in frames if frame.placeholder is None]
    assert len(seen) == 25
    assert time.monotonic() - began > 0.9


def test_file_without_video_raises_source_error(tmp_path: Path) -> None:
    path = tmp_path / "words.mp4"
    path.write_text("no video")
    with (
        pytest.raises(SourceError, match="no video that FFmpeg can read"),
        watched(LiveSource(source_address(str(path)))) as frames,
    ):
        for frame in frames:
            assert frame.placeholder is not None  # slates, while its reader is still starting


def test_audio_packets_have_timestamps_on_the_video_timeline(server: RtspServer) -> None:
    source = LiveSource(source_address(server.url("cam")), timeouts=PROMPT)
    with Publisher(server.url("cam"), rate=30, with_audio=True), watched(source) as frames:
        seen = until(frames, real(45))
    assert source.audio_format is not None
    assert source.audio_format.codec == "aac"
    heard = [packet.time_s for packet in source.audio]
    assert len(heard) > 20
    assert heard == sorted(heard)
    assert abs(heard[-1] - seen[-1].time_s) < 0.5


def test_adts_header_becomes_an_audio_specific_config() -> None:
    head = bytes([0xFF, 0xF1, 0x4C, 0x80, 0x01, 0x7F, 0xFC])  # ADTS: AAC-LC, 48 kHz, stereo, no checksum
    assert strip_adts_header(head + b"sound") == b"sound"
    assert strip_adts_header(b"sound without one") == b"sound without one"
    assert audio_specific_config(48_000, 2) == bytes([0x11, 0x90])
    assert audio_specific_config(44_100, 1) == bytes([0x12, 0x08])
    assert audio_specific_config(1234, 2) is None


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.EBUSY, "another program"), (errno.EACCES, "no permission"), (errno.ENODEV, "no such device")],
)
def test_camera_errors_are_reported_in_plain_words(number: int, words: str) -> None:
    assert words in reason_of(OSError(number, "v4l2 says something", "rtsp://u:secret@cam"))
    assert "secret" not in reason_of(OSError(errno.EIO, "Input/output error", "rtsp://u:secret@cam"))


def test_reader_process_ends_with_its_parent() -> None:
    before = descendants(os.getpid())
    with watched(LiveSource(camera_address(CAMERA))) as frames:
        until(frames, real(3))
        assert len(descendants(os.getpid())) == len(before) + 1
    assert descendants(os.getpid()) == before
