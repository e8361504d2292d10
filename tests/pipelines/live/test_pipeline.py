"""The live pipeline under load, and its output to files and virtual cameras."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from deepclarity.errors import DeviceError, SourceError, UsageError
from deepclarity.models.backends.lanczos import Lanczos
from deepclarity.models.verdict import Blocks, Chroma, Kind, Plane, Verdict
from deepclarity.pipelines.executor import CpuExecutor
from deepclarity.pipelines.live.governor import Ladder
from deepclarity.pipelines.live.pipeline import Live
from deepclarity.pipelines.live.sinks import LiveJob
from deepclarity.pipelines.live.stats import StatsSnapshot
from deepclarity.pipelines.preset import Preset, load_preset
from deepclarity.pipelines.route import FrameSelection
from deepclarity.pipelines.upscale import Job, upscale
from deepclarity.stream.live.virtual_camera import VirtualCamera
from deepclarity.stream.rtsp.address import camera_address
from tests.rtsp.relay_command import resources

CAMERA = camera_address("lavfi:testsrc2=size=320x180:rate=30,realtime")
SMALL = replace(load_preset("live"), size="640x360")


class Slow(Lanczos):
    """A tier that sleeps before every frame."""

    def __init__(self, name: str, seconds: float) -> None:
        self.name = name  # type: ignore[misc]
        self._seconds = seconds

    def __call__(self, luma: Plane, *, scale: int, max_value: int = 255) -> Plane:
        time.sleep(self._seconds)
        return super().__call__(luma, scale=scale, max_value=max_value)


class AlwaysPixelated:
    """A detector that finds blocks everywhere."""

    name = "always"

    def __call__(self, luma: Plane, *, max_value: int = 255, chroma: Chroma | None = None) -> Verdict:
        return Verdict(1.0, Kind.PIXELATED, Blocks(4, 4))


def test_slow_tier_steps_down_within_two_seconds_and_latency_stays_bounded(tmp_path: Path) -> None:
    history: list[tuple[float, StatsSnapshot]] = []
    ladder = Ladder([CpuExecutor(Slow("srgan", 0.1)), CpuExecutor(Slow("turbo", 0.0))])
    job = LiveJob(CAMERA, file=tmp_path / "out.mkv", preset=SMALL, seconds=4)
    started = time.monotonic()
    with Live(
        job,
        detector=AlwaysPixelated(),
        ladder=ladder,
        watch=lambda snapshot: history.append((time.monotonic() - started, snapshot)),
    ) as live:
        last = live.run()
    stepped_s = next(at for at, snapshot in history if snapshot.tier == "turbo")
    assert stepped_s < 2.5  # includes half a second of start-up
    assert max(snapshot.latency_p99_ms for _, snapshot in history) <= 500
    assert last.drops["late"] > 0
    assert last.counts["tier_steps_down"] == 1
    assert last.lanes["enhance"] > 60


def test_overload_drops_and_counts_oldest_frames_with_constant_memory(tmp_path: Path) -> None:
    ladder = Ladder([CpuExecutor(Slow("turbo", 0.1))])
    memory_mb: list[float] = []
    job = LiveJob(CAMERA, file=tmp_path / "out.mkv", preset=SMALL, seconds=5)
    with Live(
        job,
        detector=AlwaysPixelated(),
        ladder=ladder,
        watch=lambda snapshot: memory_mb.append(resources(os.getpid())[2]),
    ) as live:
        last = live.run()
    assert last.latency_p99_ms <= 500
    assert last.drops["late"] > 50
    in_flight = last.counts["frames_in"] - last.counts["frames_out"] - last.drops["late"]
    assert 0 <= in_flight <= 5
    second_half = memory_mb[len(memory_mb) // 2 :]
    assert max(second_half) - min(second_half) < 20


def test_same_load_from_a_file_drops_no_frames(
    make_clip: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepclarity.pipelines.load_executor.load_enhancer", lambda name, device: Slow("turbo", 0.1))
    clip = make_clip(count=25, size=(160, 90))
    summary = upscale(
        Job(clip, tmp_path / "out.mp4", Preset(which=FrameSelection.ALL, size="320x180", speed="ultrafast"))
    )
    assert (summary.frames_in, summary.frames_out, summary.repaired, summary.dropped) == (25, 25, 25, 0)


def test_recording_is_complete_and_keeps_timestamps(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with Live(LiveJob(CAMERA, file=path, preset=replace(SMALL, which=FrameSelection.NONE), seconds=2)) as live:
        last = live.run()
    with av.open(str(path)) as container:
        pictures = list(container.decode(video=0))
    assert len(pictures) == last.counts["frames_out"]
    assert {(picture.width, picture.height) for picture in pictures} == {(640, 360)}
    gaps = np.diff([float(picture.time or 0) for picture in pictures])
    assert gaps.min() > 0
    assert abs(np.median(gaps) - 1 / 30) < 0.005


def test_interruption_finishes_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"

    def interrupt(snapshot: StatsSnapshot) -> None:
        if snapshot.counts["frames_out"] > 20:
            raise KeyboardInterrupt

    job = LiveJob(CAMERA, file=path, preset=replace(SMALL, which=FrameSelection.NONE))
    with pytest.raises(KeyboardInterrupt), Live(job, watch=interrupt) as live:
        live.run()
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) > 20
    assert [each.name for each in tmp_path.iterdir()] == ["out.mp4"]


def test_missing_camera_raises_device_error() -> None:
    job = LiveJob(
        camera_address("/dev/video-that-is-not-there"), preset=replace(SMALL, which=FrameSelection.NONE), seconds=1
    )
    with (
        pytest.raises(DeviceError, match="camera /dev/video-that-is-not-there: there is no such device"),
        Live(job) as live,
    ):
        live.run()


def test_lavfi_source_is_paced_and_invalid_graph_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "out.mkv"
    generated = camera_address("lavfi:testsrc2=size=320x180:rate=30")  # without `realtime`, so not throttled
    with Live(LiveJob(generated, file=path, preset=replace(SMALL, which=FrameSelection.NONE), seconds=2)) as live:
        assert live.run().counts["frames_in"] < 90
    invalid = LiveJob(camera_address("lavfi:nosuchfilter"), preset=replace(SMALL, which=FrameSelection.NONE))
    with pytest.raises(SourceError, match="lavfi:nosuchfilter"), Live(invalid) as live:
        live.run()


def test_invalid_output_is_rejected_before_the_camera_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "there.mp4"
    path.write_bytes(b"something")
    with pytest.raises(UsageError, match="already exists"):
        Live(LiveJob(CAMERA, file=path, preset=SMALL))
    with pytest.raises(UsageError, match="even width and height"):
        Live(LiveJob(CAMERA, preset=replace(SMALL, size="641x360")))


class Loopback:
    """Fake of pyvirtualcam's camera."""

    device = "/dev/loopback"

    def __init__(self) -> None:
        self.sent: list[np.ndarray] = []
        self.closed = False

    def send(self, picture: np.ndarray) -> None:
        self.sent.append(picture)

    def close(self) -> None:
        self.closed = True


def test_virtual_camera_receives_consecutive_planes(tmp_path: Path) -> None:
    from deepclarity.stream.live.source import LiveSource

    loopback = Loopback()
    opened: Callable[..., Loopback] = lambda device, size, rate: loopback  # noqa: E731
    with LiveSource(CAMERA) as source, VirtualCamera("auto", size=(320, 180), rate=30, open_device=opened) as camera:
        for frame in source:
            if frame.placeholder is None:
                camera.write(frame)
                break
    assert camera.device == "/dev/loopback"
    assert loopback.sent[0].shape == (270, 320)
    assert np.array_equal(loopback.sent[0][:180], frame.luma)
    assert loopback.closed


def test_missing_pyvirtualcam_names_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyvirtualcam", None)
    with pytest.raises(UsageError, match=r"pip install 'deepclarity\[virtual-camera\]'"):
        VirtualCamera("auto", size=(640, 360), rate=30)
