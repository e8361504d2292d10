"""Unusual timing: frame rates, uneven and missing timestamps, B-frames, start offsets."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.clips import (
    ClipSpec,
    add_audio,
    add_video,
    encode_audio,
    encode_clip,
    encode_video,
)
from tests.commands import QUICK, run_upscale
from tests.decoding import assert_same_frames, audio_hashes, frame_times

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("rate", [1, 240])
def test_very_low_and_high_frame_rates_are_kept(tmp_path: Path, rate: int, ending: str) -> None:
    clip = encode_clip(tmp_path / "clip.mp4", ClipSpec(rate=rate))
    target = tmp_path / f"out.{ending}"
    assert run_upscale(clip, target, *QUICK) == 0
    assert_same_frames(clip, target)


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_variable_frame_rate_is_kept(tmp_path: Path, ending: str, codec: str) -> None:
    moments = [0, 1, 2, 40, 41, 300, 301, 302, 303, 2000]
    clip = encode_clip(tmp_path / "uneven.mkv", ClipSpec(pts=moments, time_base=Fraction(1, 1000)))
    target = tmp_path / f"out.{ending}"
    assert run_upscale(clip, target, *QUICK, "--codec", codec) == 0
    assert_same_frames(clip, target)
    assert frame_times(clip) == [Fraction(moment, 1000) for moment in moments]


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_b_frames_are_output_in_presentation_order(tmp_path: Path, ending: str) -> None:
    spec = ClipSpec(count=20, options={"preset": "medium", "bf": "3"}, container_options={"use_editlist": "0"})
    clip = encode_clip(tmp_path / "clip.mp4", spec)
    target = tmp_path / f"out.{ending}"
    assert run_upscale(clip, target, *QUICK, "--speed", "medium") == 0
    assert_same_frames(clip, target)


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_recording_without_duration_is_processed(tmp_path: Path, ending: str) -> None:
    clip = encode_clip(tmp_path / "live.mkv", ClipSpec(container_options={"live": "1"}))
    with av.open(str(clip)) as container:
        assert container.duration is None
    assert run_upscale(clip, tmp_path / f"out.{ending}", *QUICK) == 0
    assert_same_frames(clip, tmp_path / f"out.{ending}")


def test_raw_stream_without_timestamps_gets_a_constant_rate(tmp_path: Path) -> None:
    clip = encode_clip(tmp_path / "raw.h264", ClipSpec(count=20, options={"preset": "medium"}))
    assert run_upscale(clip, tmp_path / "out.mp4", *QUICK) == 0
    assert frame_times(tmp_path / "out.mp4") == [Fraction(number, 25) for number in range(20)]


@pytest.mark.parametrize("kind", ["clip.ts", "clip.avi"])
def test_other_containers_are_read(tmp_path: Path, kind: str) -> None:
    clip = encode_clip(tmp_path / kind, ClipSpec(count=20))
    assert run_upscale(clip, tmp_path / "out.mkv", *QUICK) == 0
    first = frame_times(clip)[0]
    assert [a - first for a in frame_times(clip)] == pytest.approx(
        [b - frame_times(tmp_path / "out.mkv")[0] for b in frame_times(tmp_path / "out.mkv")], abs=0.001
    )


def make_late(path: Path, *, picture_s: float, sound_s: float) -> Path:
    """Video and audio that start at these times."""
    moments = [round((picture_s + number / 25) * 1000) for number in range(10)]
    spec = ClipSpec(pts=moments, time_base=Fraction(1, 1000))
    with av.open(str(path), "w") as container:
        video, voice = add_video(container, spec), add_audio(container)
        encode_video(container, video, spec)
        encode_audio(container, voice, seconds=0.4, start_s=sound_s)
    return path


def lead_s(path: Path) -> float:
    """Seconds from the first picture to the first audio packet."""
    with av.open(str(path)) as container:
        sounds = [packet.pts * packet.time_base for packet in container.demux(audio=0) if packet.size]
    return float(min(sounds) - frame_times(path)[0])


@pytest.mark.parametrize(("source", "target"), [("mp4", "mp4"), ("mkv", "mkv"), ("mp4", "mkv"), ("mkv", "mp4")])
@pytest.mark.parametrize(("picture_s", "sound_s"), [(0.0, 0.5), (0.5, 0.0), (0.0, 0.0), (1.0, 1.2)])
def test_audio_offset_is_kept(tmp_path: Path, source: str, target: str, picture_s: float, sound_s: float) -> None:
    clip = make_late(tmp_path / f"late.{source}", picture_s=picture_s, sound_s=sound_s)
    out = tmp_path / f"out.{target}"
    assert run_upscale(clip, out, *QUICK) == 0
    assert lead_s(out) == pytest.approx(lead_s(clip), abs=0.0011)
    assert audio_hashes(out) == audio_hashes(clip) != []
    if target == "mp4":
        assert frame_times(out) == frame_times(clip)


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_three_hours_end_in_step(tmp_path: Path, ending: str) -> None:
    clip, out, hours_s = tmp_path / f"long.{ending}", tmp_path / f"out.{ending}", 3 * 3600
    moments = [240 * number for number in range(hours_s // 10)]
    spec = ClipSpec(count=len(moments), pts=moments, time_base=Fraction(1001, 24_000))
    with av.open(str(clip), "w") as container:
        video, voice = add_video(container, spec), add_audio(container)
        encode_video(container, video, spec)
        encode_audio(container, voice, seconds=0.5, start_s=hours_s)
    assert run_upscale(clip, out, *QUICK) == 0
    assert frame_times(out)[-1] == pytest.approx(float(frame_times(clip)[-1]), abs=0.001)
    assert len(frame_times(out)) == hours_s // 10
    assert lead_s(out) == pytest.approx(lead_s(clip), abs=0.001)
