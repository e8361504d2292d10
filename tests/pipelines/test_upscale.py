"""The main job, end to end."""

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
from deepclarity.pipelines.fit import Fit
from deepclarity.pipelines.preset import Preset
from deepclarity.pipelines.records import Lane, Summary
from deepclarity.pipelines.route import Which
from deepclarity.pipelines.upscale import Job, raise_if_damaged, upscale
from deepclarity.stream.files.source import FileSource
from deepclarity.stream.frame import Frame
from tests.conftest import MakeClip
from tests.pipelines.test_route import scored

FAST = Preset(speed="ultrafast", device="cpu")
SAME_SIZE = replace(FAST, size="640x360")


def lanes(report: Path) -> str:
    told = json.loads(report.read_text())
    return "".join({"pass": ".", "resize": "r", "enhance": "E"}[frame["lane"]] for frame in told["frames"])


def times(path: Path) -> list[Fraction]:
    with FileSource(path) as source:
        return [frame.pts * frame.time_base for frame in source]


def test_only_the_pixelated_stretch_is_repaired(make_clip: MakeClip, tmp_path: Path) -> None:
    clip = make_clip(count=60, pixelated=range(20, 40), crf=23, tone_hz=220)
    out, report = tmp_path / "out.mp4", tmp_path / "out.json"
    summary = upscale(Job(clip, out, SAME_SIZE, report=report))
    assert lanes(report) == "." * 20 + "E" * 20 + "." * 20
    assert (summary.frames_in, summary.frames_out, summary.repaired, summary.passed) == (60, 60, 20, 40)
    assert times(out) == times(clip)
    told = json.loads(report.read_text())
    assert [(part["first_frame"], part["last_frame"], part["block_px"]) for part in told["ranges"]] == [(20, 39, 4.0)]


def test_a_small_clip_leaves_at_full_hd_with_its_sound(make_clip: MakeClip, tmp_path: Path) -> None:
    clip, out = make_clip(count=6, size=(320, 180), tone_hz=220), tmp_path / "out.mkv"
    summary = upscale(Job(clip, out, FAST))
    with av.open(str(out)) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        assert (video.width, video.height) == (1920, 1080)
        assert sound.codec_context.name.startswith("aac")
    assert (summary.resized, summary.repaired) == (6, 0)


def test_all_sends_every_frame_through_the_network(make_clip: MakeClip, tmp_path: Path) -> None:
    clip, out = make_clip(count=4, size=(160, 90)), tmp_path / "out.mp4"
    summary = upscale(Job(clip, out, replace(FAST, which=Which.ALL, size="640x360")))
    assert (summary.repaired, summary.model) == (4, "turbo")


def test_none_needs_no_network(make_clip: MakeClip, tmp_path: Path) -> None:
    clip, out = make_clip(count=4, pixelated=range(4)), tmp_path / "out.mp4"
    summary = upscale(Job(clip, out, replace(SAME_SIZE, which=Which.NONE)))
    assert (summary.repaired, summary.passed, summary.model) == (0, 4, "none")


def test_a_passed_frame_reaches_the_encoder_bit_for_bit(make_clip: MakeClip, tmp_path: Path) -> None:
    # x264 at CRF 0 is lossless: what comes out is what went in
    clip, out = make_clip(count=8), tmp_path / "out.mkv"
    upscale(Job(clip, out, replace(SAME_SIZE, crf=0)))

    def digests(path: Path) -> list[str]:
        with av.open(str(path)) as container:
            frames = container.decode(video=0)
            return [hashlib.md5(frame.to_ndarray().tobytes()).hexdigest() for frame in frames]

    assert digests(out) == digests(clip)


def test_a_report_page_shows_the_worst_frames(make_clip: MakeClip, tmp_path: Path) -> None:
    clip, report = make_clip(count=12, pixelated=range(12)), tmp_path / "out.html"
    upscale(Job(clip, tmp_path / "out.mp4", SAME_SIZE, report=report))
    assert "data:image/" in report.read_text()


def test_damage_is_told_when_the_output_is_whole() -> None:
    raise_if_damaged(Summary())
    with pytest.raises(DamagedInputError, match="3 damaged"):
        raise_if_damaged(Summary(damaged=3))


class Failing:
    """An enhancer whose device fails a number of times."""

    name, backend, scales = "failing", "none", (2, 3, 4)

    def __init__(self, failures: int) -> None:
        self._left = failures
        self._lanczos = load_enhancer("lanczos")

    def __call__(self, luma: Plane, *, scale: int, max_value: int = 255) -> Plane:
        self._left -= 1
        if self._left >= 0:
            raise DeviceError("out of memory")
        return self._lanczos(luma, scale=scale, max_value=max_value)

    def close(self) -> None:
        pass


def frames_through(enhancer: Failing, clip: Path) -> tuple[list[Lane], Summary]:
    from deepclarity.pipelines.detect import detect
    from deepclarity.pipelines.route import Routing, route

    summary = Summary()
    with FileSource(clip) as source:
        routed = route(
            detect(source, None, summary), Routing(which=Which.ALL), resize=True, enlarge=True, summary=summary
        )
        done = list(enhance(routed, enhancer, Fit((320, 180), (320, 180), (160, 90)), summary))
    assert {item.frame.size for item in done} == {(320, 180)}
    return [item.routed.lane for item in done], summary


def test_a_frame_that_cannot_be_repaired_goes_on_resized_and_counted(make_clip: MakeClip) -> None:
    took, summary = frames_through(Failing(2), make_clip(count=5, size=(160, 90)))
    assert took == [Lane.RESIZE] * 2 + [Lane.ENHANCE] * 3
    assert (summary.fallback, summary.repaired, summary.resized) == (2, 3, 2)


def test_a_device_that_keeps_failing_is_given_up(make_clip: MakeClip) -> None:
    with pytest.raises(DeviceError, match="5 frames in a row"):
        frames_through(Failing(99), make_clip(count=8, size=(160, 90)))


def test_bars_are_black_and_the_picture_between_them_whole() -> None:
    from deepclarity.pipelines.route import Routing, route

    luma = np.full((36, 64), 200, np.uint8)
    item = scored([0.0])[0]
    bright = replace(item, frame=replace(item.frame, planes=(luma, *item.frame.planes[1:])))
    routed = route([bright], Routing(), resize=False, enlarge=False, summary=Summary())
    (done,) = enhance(routed, None, Fit((64, 36), (64, 64), (64, 36)), Summary())
    assert done.frame.size == (64, 64)
    assert set(np.unique(done.frame.luma[:14])) == {16}
    assert (done.frame.luma[14:50] == 200).all()


def test_a_frame_keeps_its_place_and_time_whatever_its_lane() -> None:
    from deepclarity.pipelines.route import Routing, route

    routed = route(scored([0.0] * 3), Routing(), resize=False, enlarge=False, summary=Summary())
    done = list(enhance(routed, None, Fit((64, 36), (64, 36), (64, 36)), Summary()))
    kept: list[Frame] = [item.frame for item in done]
    assert [(frame.index, frame.pts) for frame in kept] == [(0, 0), (1, 1), (2, 2)]
