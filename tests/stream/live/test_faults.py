"""Live source: faults of cameras and networks, on a camera whose every picture is known."""

from __future__ import annotations

import ast
import time
from itertools import pairwise
from pathlib import Path

import pytest

import deepclarity.stream
from deepclarity.stream.frame import Frame
from deepclarity.stream.live.source import LiveSource
from deepclarity.stream.live.state import State
from deepclarity.stream.rtsp.address import camera_address, source_address
from tests.rtsp.camera.behaviour import Behaviour
from tests.rtsp.camera.camera import Camera
from tests.rtsp.camera.clip import Track, g711, joined, video
from tests.rtsp.server.transports import NetworkConditions
from tests.stream.live.frames import (
    PATIENT,
    is_slate,
    luma_md5,
    open_frames,
    read_until,
    real,
    real_frames,
    timestamps_increase,
)

STEP_S = 1 / 30


def open_camera(camera: Camera, *, transport: str = "tcp") -> LiveSource:
    return LiveSource(source_address(camera.url(), transport=transport), timeouts=PATIENT)


def steps_s(frames: list[Frame]) -> list[float]:
    """Seconds between each two real frames."""
    return [float(later.time_s - earlier.time_s) for earlier, later in pairwise(real(frames))]


def pictures_of(track: Track) -> set[str]:
    """Hashes of all its pictures, as they come without any fault."""
    with Camera(track) as camera, open_frames(open_camera(camera)) as frames:
        return {luma_md5(frame) for frame in real(read_until(frames, real_frames(len(track.units) + 5)))}


@pytest.mark.slow
def test_rebooted_camera_continues_the_timeline_after_the_outage() -> None:
    with Camera(video(), behaviour=Behaviour(first_timestamp=3_000_000_000)) as camera:
        source = open_camera(camera)
        with open_frames(source) as frames:
            before = read_until(frames, real_frames(20))
            camera.behaviour.describe_status = "404 Not Found"
            camera.disconnect()
            away = read_until(frames, is_slate)
            camera.behaviour.describe_status, camera.behaviour.first_timestamp = None, 0
            after = read_until(frames, real_frames(10))
    last, first = [*real(before), *real(away)][-1], real(after)[0]
    assert last.arrived_s is not None
    assert first.arrived_s is not None
    assert timestamps_increase(before + away + after)
    assert abs((first.time_s - last.time_s) - (first.arrived_s - last.arrived_s)) <= STEP_S
    assert source.counts.reconnects == 1


def test_parameter_sets_that_alternate_at_the_same_size_change_nothing() -> None:
    other = video(count=10, options=(("profile", "main"), ("refs", "3")))
    assert other.attributes != video(count=10).attributes
    with Camera(joined(video(count=10), other)) as camera:
        source = open_camera(camera)
        with open_frames(source) as frames:
            received = read_until(frames, real_frames(60))
    assert (source.counts.changes, source.counts.reconnects, source.counts.damaged_frames) == (0, 0, 0)
    assert all(frame.intact for frame in real(received))
    assert steps_s(received) == pytest.approx([STEP_S] * 59, abs=0.001)


@pytest.mark.slow
@pytest.mark.parametrize("loss", [0.01, 0.05, 0.25])
def test_pictures_that_lost_datagrams_damaged_are_marked_and_end_with_the_loss(loss: float) -> None:
    track = video()
    intact = pictures_of(track)
    with Camera(track) as camera:
        source = open_camera(camera, transport="udp")
        with open_frames(source) as frames:
            read_until(frames, real_frames(10))
            camera.behaviour.network.loss = loss
            started_s = time.monotonic()
            lossy = real(read_until(frames, real_frames(120), timeout_s=60))
            elapsed_s = time.monotonic() - started_s
            camera.behaviour.network.loss = 0.0
            read_until(frames, real_frames(20 + 8))  # two GOPs, and what is on its way
            clean = real(read_until(frames, real_frames(30)))
    assert source.counts.lost_packets > 0
    assert source.counts.damaged_frames > 0
    assert source.counts.reconnects == 0
    assert len(lossy) / elapsed_s >= 1
    assert {luma_md5(frame) for frame in lossy if frame.intact} <= intact
    assert all(frame.intact for frame in clean)
    assert {luma_md5(frame) for frame in clean} <= intact


@pytest.mark.slow
def test_repeated_and_reordered_datagrams_change_no_picture() -> None:
    track = video()
    network = NetworkConditions(duplicated=0.05, reordered=0.05)
    with Camera(track, behaviour=Behaviour(limit=75)) as camera:
        tcp, udp = open_camera(camera), open_camera(camera, transport="udp")
        with open_frames(tcp) as frames:
            expected = real(read_until(frames, lambda frame: tcp.state is State.RECONNECTING))
        camera.behaviour.network = network
        with open_frames(udp) as frames:
            received = real(read_until(frames, lambda frame: udp.state is State.RECONNECTING))
    count = min(len(received), len(expected))  # those before the decoder has begun do not count
    assert count >= 40
    assert [luma_md5(frame) for frame in received][-count:] == [luma_md5(frame) for frame in expected][-count:]
    assert udp.counts.damaged_frames == udp.counts.lost_packets == 0


@pytest.mark.slow
def test_clock_steps_of_the_camera_neither_stall_nor_hurry_the_output() -> None:
    with Camera(video(), g711()) as camera:
        source = open_camera(camera)
        with open_frames(source) as frames:
            received = read_until(frames, real_frames(15))
            for offset_s in (3600.0, -3600.0, 0.0):
                camera.behaviour.clock_offset_s = offset_s
                received += read_until(frames, real_frames(30))
    assert timestamps_increase(received)
    assert max(steps_s(received)) < 0.2
    assert source.counts.reconnects == 0


def test_live_code_never_reads_the_wall_clock() -> None:
    root = Path(deepclarity.stream.__file__).resolve().parent
    folders = [root / name for name in ("live", "rtsp")] + [root.parent / "pipelines" / "live"]
    reads = [
        f"{path}:{node.lineno}"
        for folder in folders
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and (node.attr in ("time_ns", "now", "today") or is_wall_clock(node))
    ]
    assert all(any(folder.glob("*.py")) for folder in folders)
    assert reads == []


def is_wall_clock(node: ast.Attribute) -> bool:
    return node.attr == "time" and isinstance(node.value, ast.Name) and node.value.id == "time"


def test_stepped_system_clock_changes_no_timestamp(monkeypatch: pytest.MonkeyPatch) -> None:
    with Camera(video(), behaviour=Behaviour(reports=False)) as camera, open_frames(open_camera(camera)) as frames:
        received = read_until(frames, real_frames(10))
        for step_s in (3600, -3600):
            wrong_s = time.time() + step_s
            monkeypatch.setattr(time, "time", lambda wrong_s=wrong_s: wrong_s)
            received += read_until(frames, real_frames(15))
    assert steps_s(received) == pytest.approx([STEP_S] * 39, abs=0.001)


def test_camera_that_changes_its_format_is_opened_again() -> None:
    graph = "testsrc2=s=320x180:r=30:d=0.5[a];testsrc2=s=160x90:r=30:d=9[b];[a][b]concat=unsafe=1,realtime"
    source = LiveSource(camera_address(f"lavfi:{graph}"))
    with open_frames(source) as frames:
        received = read_until(frames, lambda frame: source.state is State.RECONNECTING)
    assert source.reason == "its picture size has changed"
    assert {frame.size for frame in real(received)} == {(320, 180)}
