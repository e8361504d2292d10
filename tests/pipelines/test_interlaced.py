"""Interlaced and telecined videos through the entire pipeline: rates, sound, labels, summary, resume."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction
from pathlib import Path

import av
import pytest

from deepclarity.cli.progress import summary_lines
from deepclarity.errors import UsageError
from deepclarity.models.detectors import load_detector
from deepclarity.pipelines.detect_file import detect_file
from deepclarity.pipelines.preset import Preset, preset_from
from deepclarity.pipelines.records import Summary
from deepclarity.pipelines.route import FrameSelection
from deepclarity.pipelines.upscale import Job, upscale
from deepclarity.stream.interlaced.bwdif import FieldOrderReader
from deepclarity.stream.interlaced.modes import DeinterlaceMode, FieldOrder
from tests.decoding import decode_frames, frame_times
from tests.interlaced_clips import NTSC, FieldSpec, encode_fields, film_frames, interlaced, telecined

LARGER, SAME = "384x256", "192x128"


def run(
    clip: Path, *, size: str = LARGER, mode: str = "auto", which: FrameSelection = FrameSelection.NONE, **options: bool
) -> tuple[Summary, Path]:
    target = clip.with_name("out.mp4")
    preset = Preset(size=size, deinterlace=DeinterlaceMode(mode), which=which, model="lanczos", crf=8)
    job = Job(clip, target, preset, overwrite=True, report=clip.with_name("report.json"), **options)
    return upscale(job), target


def end_of_sound_s(path: Path) -> float:
    with av.open(str(path)) as container:
        last = list(container.decode(audio=0))[-1]
        return float(last.pts * last.time_base) + last.samples / last.sample_rate


@pytest.mark.parametrize(("mode", "count", "step"), [("auto", 12, Fraction(1, 25)), ("field", 24, Fraction(1, 50))])
def test_sound_stays_in_step_at_both_rates(tmp_path: Path, mode: str, count: int, step: Fraction) -> None:
    clip = encode_fields(tmp_path / "clip.ts", interlaced(12), FieldSpec(audio=True, sample_aspect=Fraction(16, 15)))
    summary, target = run(clip, mode=mode)
    times = frame_times(target)
    assert (len(times), summary.frames_in, summary.frames_out, summary.deinterlaced) == (count, 12, count, 12)
    assert {b - a for a, b in itertools.pairwise(times)} == {step}
    assert times[0] == frame_times(clip)[0]
    assert abs(end_of_sound_s(target) - end_of_sound_s(clip)) < 0.001
    with av.open(str(target)) as container:
        assert not any(frame.interlaced_frame for frame in container.decode(video=0))


def test_telecine_is_reported_in_numbers(tmp_path: Path) -> None:
    clip = encode_fields(tmp_path / "clip.ts", telecined(film_frames(16)), FieldSpec(audio=True, rate=NTSC))
    summary, target = run(clip)
    times = frame_times(target)
    assert {b - a for a, b in itertools.pairwise(times)} == {Fraction(1001, 24_000)}
    assert (summary.frames_in, summary.frames_out) == (20, 16)
    lines = "\n".join(summary_lines(summary, which=FrameSelection.NONE))
    assert "20 frames of telecined film became 16" in lines
    report = json.loads((tmp_path / "report.json").read_text())["summary"]
    assert (report["telecined"], report["film_frames"]) == (20, 16)
    assert abs(end_of_sound_s(target) - end_of_sound_s(clip)) < 0.001


@pytest.mark.parametrize("order", list(FieldOrder))
def test_repaired_frames_keep_the_field_order_of_a_video_that_keeps_its_size(tmp_path: Path, order: FieldOrder) -> None:
    clip = encode_fields(tmp_path / "clip.mpg", interlaced(8, order), FieldSpec(order=order))
    summary, target = run(clip, size=SAME, which=FrameSelection.PIXELATED)
    assert (summary.passed + summary.repaired, summary.frames_out) == (8, 8)
    assert summary.deinterlaced == summary.repaired
    read = FieldOrderReader()
    with av.open(str(target)) as container:
        assert {read(frame) for frame in container.decode(video=0)} == {order}


def test_off_and_forced_modes_at_the_same_size(tmp_path: Path) -> None:
    clip = encode_fields(tmp_path / "clip.mpg", interlaced(8), FieldSpec())
    for mode, interlaced_frames in (("off", 8), ("frame", 0), ("field", 0)):
        summary, target = run(clip, size=SAME, mode=mode)
        with av.open(str(target)) as container:
            flags = [frame.interlaced_frame for frame in container.decode(video=0)]
        assert sum(flags) == interlaced_frames
        assert len(flags) == summary.frames_out == (16 if mode == "field" else 8)
        assert summary.passed == interlaced_frames


def test_detection_works_on_deinterlaced_pictures(tmp_path: Path) -> None:
    clip = encode_fields(tmp_path / "clip.mpg", interlaced(10, size=(320, 256)), FieldSpec())  # type: ignore[arg-type]
    verdict = detect_file(clip, load_detector("grid"))
    assert verdict.frames == 10
    assert not verdict.pixelated


@pytest.mark.parametrize(("mode", "film"), [("field", False), ("auto", True)])
def test_an_interrupted_run_resumes_with_the_same_frames(tmp_path: Path, mode: str, film: bool) -> None:
    pictures = telecined(film_frames(24)) if film else interlaced(16)
    clip = encode_fields(tmp_path / "clip.ts", pictures, FieldSpec(audio=True, rate=NTSC))
    preset = Preset(
        size=LARGER, deinterlace=DeinterlaceMode(mode), which=FrameSelection.NONE, restart_every_frames=8, crf=8
    )
    expected = tmp_path / "expected.mp4"
    upscale(Job(clip, expected, preset))

    def interrupt(summary: Summary, info: object) -> None:
        if summary.frames_out == 13:
            raise KeyboardInterrupt

    target = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        upscale(Job(clip, target, preset), progress=interrupt)
    summary = upscale(Job(clip, target, preset, resume=True))
    assert (summary.telecined > 0) is film
    after, wanted = decode_frames(target), decode_frames(expected)
    assert [frame.luma_md5 for frame in after] == [frame.luma_md5 for frame in wanted]
    assert all(abs(a.time_s - b.time_s) < Fraction(1, 1000) for a, b in zip(after, wanted, strict=True))


def test_an_unknown_mode_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"deinterlace 'feild': .*field"):
        preset_from({"deinterlace": "feild"}, where="own.toml")
