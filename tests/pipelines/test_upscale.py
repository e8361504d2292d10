"""The upscale pipeline, end to end."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from deepclarity.errors import DamagedInputError, DeviceError
from deepclarity.models.load import load_enhancer
from deepclarity.models.verdict import Plane
from deepclarity.pipelines.enhance import enhance
from deepclarity.pipelines.executor import CpuExecutor
from deepclarity.pipelines.fit import Fit
from deepclarity.pipelines.preset import Preset
from deepclarity.pipelines.records import Lane, Summary
from deepclarity.pipelines.report.stretches import Stretch
from deepclarity.pipelines.route import FrameSelection
from deepclarity.pipelines.upscale import Job, raise_if_damaged, upscale
from deepclarity.stream.files.source import FileSource
from deepclarity.stream.frame import Frame
from tests.conftest import MakeClip
from tests.pipelines.test_route import scored

FAST = Preset(speed="ultrafast", device="cpu")
SAME_SIZE = replace(FAST, size="640x360")


def lanes(report: Path) -> str:
    data = json.loads(report.read_text())
    return "".join({"pass": ".", "resize": "r", "enhance": "E"}[frame["lane"]] for frame in data["frames"])


def times(path: Path) -> list[Fraction]:
    with FileSource(path) as source:
        return [frame.pts * frame.time_base for frame in source]


def test_only_the_pixelated_range_is_repaired(make_clip: MakeClip, tmp_path: Path) -> None:
    clip = make_clip(count=60, pixelated=range(20, 40), crf=23, tone_hz=220)
    out, report = tmp_path / "out.mp4", tmp_path / "out.json"
    stretches: list[Stretch] = []
    job = Job(clip, out, SAME_SIZE, report=report)
    summary = upscale(job, reported=lambda records: stretches.extend(records.stretches()))
    assert lanes(report) == "." * 20 + "E" * 20 + "." * 20
    assert (summary.frames_in, summary.frames_out, summary.repaired, summary.passed) == (60, 60, 20, 40)
    assert times(out) == times(clip)
    data = json.loads(report.read_text())
    assert [(part["first_frame"], part["last_frame"], part["block_px"]) for part in data["ranges"]] == [(20, 39, 4.0)]
    assert [(each.treatment, each.first_frame, each.last_frame) for each in stretches] == [
        ("passed", 0, 19),
        ("repaired", 20, 39),
        ("passed", 40, 59),
    ]
    assert {each.reason for each in stretches} == {"segments with repaired frames"}


def test_small_clip_is_enlarged_to_full_hd_with_audio(make_clip: MakeClip, tmp_path: Path) -> None:
    clip, out = make_clip(count=6, size=(320, 180), tone_hz=220), tmp_path / "out.mkv"
    summary = upscale(Job(clip, out, FAST))
    with av.open(str(out)) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        assert (video.width, video.height) == (1920, 1080)
        assert sound.codec_context.name.startswith("aac")
    assert (summary.resized, summary.repaired) == (6, 0)


def test_all_enhances_every_frame(make_clip: MakeClip, tmp_path: Path) -> None:
    clip, out = make_clip(count=4, size=(160, 90)), tmp_path / "out.mp4"
    summary = upscale(Job(clip, out, replace(FAST, which=FrameSelection.ALL, size="640x360")))
    assert (summary.repaired, summary.model) == (4, "turbo")


def test_none_loads_no_enhancer(make_clip: MakeClip, tmp_path: Path) -> None:
    clip, out = make_clip(count=4, pixelated=range(4)), tmp_path / "out.mp4"
    summary = upscale(Job(clip, out, replace(SAME_SIZE, which=FrameSelection.NONE)))
    assert (summary.repaired, summary.passed, summary.model) == (0, 4, "none")


def test_passed_frames_are_bit_exact(make_clip: MakeClip, tmp_path: Path) -> None:
    # x264 at CRF 0 is lossless, so output equals input
    clip, out = make_clip(count=8), tmp_path / "out.mkv"
    upscale(Job(clip, out, replace(SAME_SIZE, crf=0)))

    def digests(path: Path) -> list[str]:
        with av.open(str(path)) as container:
            frames = container.decode(video=0)
            return [hashlib.md5(frame.to_ndarray().tobytes()).hexdigest() for frame in frames]

    assert digests(out) == digests(clip)


def test_html_report_contains_pictures(make_clip: MakeClip, tmp_path: Path) -> None:
    clip, report = make_clip(count=12, pixelated=range(12)), tmp_path / "out.html"
    upscale(Job(clip, tmp_path / "out.mp4", SAME_SIZE, report=report))
    assert "data:image/" in report.read_text()


def test_raise_if_damaged() -> None:
    raise_if_damaged(Summary())
    with pytest.raises(DamagedInputError, match="3 damaged"):
        raise_if_damaged(Summary(damaged=3))


class Failing:
    """An enhancer whose device fails `failures` times, then works."""

    name, backend, scales = "failing", "none", (2, 3, 4)

    def __init__(self, failures: int) -> None:
        self._failures_left = failures
        self._lanczos = load_enhancer("lanczos")

    def __call__(self, luma: Plane, *, scale: int, max_value: int = 255) -> Plane:
        self._failures_left -= 1
        if self._failures_left >= 0:
            raise DeviceError("out of memory")
        return self._lanczos(luma, scale=scale, max_value=max_value)

    def close(self) -> None:
        pass


def enhance_clip(enhancer: Failing, clip: Path) -> tuple[list[Lane], Summary]:
    from deepclarity.pipelines.detect import detect
    from deepclarity.pipelines.route import Routing, route

    summary = Summary()
    with FileSource(clip) as source:
        routed = route(
            detect(source, None, summary), Routing(which=FrameSelection.ALL), resize=True, enlarge=True, summary=summary
        )
        enhanced = list(enhance(routed, CpuExecutor(enhancer), Fit((320, 180), (320, 180), (160, 90)), summary))
    assert {item.frame.size for item in enhanced} == {(320, 180)}
    return [item.routed.lane for item in enhanced], summary


def test_frame_that_cannot_be_repaired_is_resized_and_counted(make_clip: MakeClip) -> None:
    lanes_taken, summary = enhance_clip(Failing(2), make_clip(count=5, size=(160, 90)))
    assert lanes_taken == [Lane.RESIZE] * 2 + [Lane.ENHANCE] * 3
    assert (summary.fallback, summary.repaired, summary.resized) == (2, 3, 2)


def test_repeated_device_failures_raise_device_error(make_clip: MakeClip) -> None:
    with pytest.raises(DeviceError, match="5 frames in a row"):
        enhance_clip(Failing(99), make_clip(count=8, size=(160, 90)))


def test_padding_is_black_around_the_complete_picture() -> None:
    from deepclarity.pipelines.route import Routing, route

    luma = np.full((36, 64), 200, np.uint8)
    item = scored([0.0])[0]
    bright = replace(item, frame=replace(item.frame, planes=(luma, *item.frame.planes[1:])))
    routed = route([bright], Routing(), resize=False, enlarge=False, summary=Summary())
    (enhanced,) = enhance(routed, None, Fit((64, 36), (64, 64), (64, 36)), Summary())
    assert enhanced.frame.size == (64, 64)
    assert set(np.unique(enhanced.frame.luma[:14])) == {16}
    assert (enhanced.frame.luma[14:50] == 200).all()


def test_index_and_timestamp_are_kept() -> None:
    from deepclarity.pipelines.route import Routing, route

    routed = route(scored([0.0] * 3), Routing(), resize=False, enlarge=False, summary=Summary())
    enhanced = list(enhance(routed, None, Fit((64, 36), (64, 36), (64, 36)), Summary()))
    kept: list[Frame] = [item.frame for item in enhanced]
    assert [(frame.index, frame.pts) for frame in kept] == [(0, 0), (1, 1), (2, 2)]
