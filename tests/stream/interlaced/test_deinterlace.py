"""Deinterlacing of files: combs, field order, times, mixed content, telecine."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from deepclarity.stream.files.source import FileSource
from deepclarity.stream.frame import Frame
from deepclarity.stream.interlaced.combs import comb_score
from deepclarity.stream.interlaced.deinterlace import Deinterlacer
from deepclarity.stream.interlaced.modes import DeinterlaceCounts, DeinterlaceMode, Deinterlacing, FieldOrder
from deepclarity.stream.planes import planes_of
from tests.interlaced_clips import (
    NTSC,
    FieldSpec,
    Grey,
    encode_fields,
    film_frames,
    interlaced,
    moving_bars,
    position,
    telecined,
)

FILM_STEP = Fraction(1001, 24_000)


def read(path: Path, mode: str = "auto", *, keep: bool = False) -> tuple[list[Frame], DeinterlaceCounts]:
    with FileSource(path) as source:
        source.deinterlace(Deinterlacing(DeinterlaceMode(mode), keep_pictures=keep))
        assert source.deinterlacer is not None
        return list(source), source.deinterlacer.counts


def luma(frame: Frame) -> Grey:
    return np.ascontiguousarray(frame.luma >> (frame.depth - 8)).astype(np.uint8)


def worst_combs(frames: list[Frame]) -> float:
    return max(comb_score(luma(b), luma(a)) for a, b in itertools.pairwise(frames))


def steps(frames: list[Frame]) -> set[Fraction]:
    return {(b.pts - a.pts) * a.time_base for a, b in itertools.pairwise(frames)}


def motion_px(frames: list[Frame]) -> list[float]:
    """How far the square moves from frame to frame."""
    places = [position(luma(frame)) * frame.size[0] for frame in frames]
    return [b - a for a, b in itertools.pairwise(places)]


@pytest.mark.parametrize("order", list(FieldOrder))
@pytest.mark.parametrize("flagged", [True, False])
def test_frame_rate_is_kept_without_combs(tmp_path: Path, order: FieldOrder, flagged: bool) -> None:
    spec = FieldSpec(order=order) if flagged else FieldSpec(order=None, codec="libx264")
    clip = encode_fields(tmp_path / "clip.mkv", interlaced(16, order), spec)
    frames, counts = read(clip)
    assert (len(frames), counts.deinterlaced) == (16, 16)
    assert worst_combs(frames) < 0.05
    assert steps(frames) == {Fraction(1, 25)}
    assert motion_px(frames) == pytest.approx([6] * 15, abs=0.6)


@pytest.mark.parametrize("order", list(FieldOrder))
@pytest.mark.parametrize("flagged", [True, False])
def test_field_rate_has_every_moment_in_order(tmp_path: Path, order: FieldOrder, flagged: bool) -> None:
    spec = FieldSpec(order=order) if flagged else FieldSpec(order=None, codec="libx264")
    clip = encode_fields(tmp_path / "clip.mkv", interlaced(16, order), spec)
    frames, counts = read(clip, "field")
    assert (len(frames), counts.deinterlaced, counts.field_frames) == (32, 16, 16)
    assert worst_combs(frames) < 0.05
    assert steps(frames) == {Fraction(1, 50)}
    assert motion_px(frames) == pytest.approx([3] * 31, abs=0.6)


@pytest.mark.parametrize("order", list(FieldOrder))
def test_a_wrong_field_order_is_corrected_once_the_motion_shows_it(tmp_path: Path, order: FieldOrder) -> None:
    clip = encode_fields(tmp_path / "clip.mkv", interlaced(24, order), FieldSpec(order=order.opposite))
    frames, _ = read(clip, "field")
    assert motion_px(frames)[16:] == pytest.approx([3] * 31, abs=0.6)


def test_fields_are_halfway_at_a_variable_rate(tmp_path: Path) -> None:
    pts = [0, 40, 90, 130, 181, 221, 260, 300]
    spec = FieldSpec(codec="libx264", time_base=Fraction(1, 1000), pts=pts)
    frames, _ = read(encode_fields(tmp_path / "clip.mp4", interlaced(8), spec), "field")
    times = [frame.pts * frame.time_base * 1000 for frame in frames]
    assert times[::2] == pts
    assert times[1:-1:2] == [Fraction(a + b, 2) for a, b in itertools.pairwise(pts)]
    assert pts[-1] < times[-1] <= pts[-1] + 20


def test_high_bit_depth_is_kept(tmp_path: Path) -> None:
    spec = FieldSpec(codec="libx264", pixel_format="yuv420p10le")
    frames, counts = read(encode_fields(tmp_path / "clip.mp4", interlaced(8), spec))
    assert {frame.depth for frame in frames} == {10}
    assert counts.deinterlaced == 8
    assert worst_combs(frames) < 0.05


@pytest.mark.parametrize("flagged", [True, False])
def test_progressive_stretches_pass_bit_for_bit(tmp_path: Path, flagged: bool) -> None:
    still = [moving_bars(32 + 2 * number) for number in range(16)]
    spec = FieldSpec() if flagged else FieldSpec(order=None, codec="libx264")
    clip = encode_fields(tmp_path / "clip.mkv", [*interlaced(16), *still], spec)
    with FileSource(clip) as source:
        plain = [luma(frame) for frame in source]
    frames, counts = read(clip)
    changed = [number for number, frame in enumerate(frames) if (luma(frame) != plain[number]).any()]
    assert changed == list(range(16))
    assert counts.deinterlaced == 16


def test_progressive_video_passes_untouched(tmp_path: Path) -> None:
    pictures = [moving_bars(2 * number) for number in range(20)]
    clip = encode_fields(tmp_path / "clip.mkv", pictures, FieldSpec(order=None, rate=NTSC, codec="libx264"))
    for mode in ("auto", "frame", "field"):
        frames, counts = read(clip, mode)
        assert (len(frames), counts.deinterlaced, counts.telecined) == (20, 0, 0)
        assert not any(frame.deinterlaced for frame in frames)


@pytest.mark.parametrize("order", list(FieldOrder))
@pytest.mark.parametrize("flagged", [True, False])
def test_hard_telecine_becomes_film(tmp_path: Path, order: FieldOrder, flagged: bool) -> None:
    spec = FieldSpec(order=order, rate=NTSC) if flagged else FieldSpec(order=None, rate=NTSC, codec="libx264")
    clip = encode_fields(tmp_path / "clip.mkv", telecined(film_frames(20), order), spec)
    frames, counts = read(clip)
    assert (counts.telecined, counts.film_frames, counts.deinterlaced, len(frames)) == (25, 20, 0, 20)
    assert steps(frames) == {FILM_STEP}
    assert worst_combs(frames) < 0.05
    for frame, original in zip(frames, film_frames(20), strict=True):
        assert np.abs(luma(frame).astype(int) - original).mean() < 2


@pytest.mark.parametrize("skip", [1, 2, 3, 4])
def test_telecine_may_begin_and_end_anywhere_in_its_cycle(tmp_path: Path, skip: int) -> None:
    pictures = telecined(film_frames(21), skip=skip)[: 21 + skip]
    frames, counts = read(encode_fields(tmp_path / "clip.mpg", pictures, FieldSpec(rate=NTSC)))
    assert counts.telecined == len(pictures)
    assert worst_combs(frames) < 0.05
    assert steps(frames[1:]) == {FILM_STEP}
    assert min(motion_px(frames)) > 5  # no frame twice


def test_telecine_between_video_changes_the_rate_for_its_stretch_only(tmp_path: Path) -> None:
    pictures = [*interlaced(12), *telecined(film_frames(16)), *interlaced(12)]
    frames, counts = read(encode_fields(tmp_path / "clip.mpg", pictures, FieldSpec(rate=NTSC)))
    assert counts.deinterlaced == 24
    assert (counts.telecined, counts.film_frames) == (20, 16)
    assert len(frames) == 12 + 16 + 12
    length = (frames[-1].pts - frames[0].pts) * frames[0].time_base
    assert abs(length - 43 / NTSC) < Fraction(1, 1000)


def test_soft_telecine_is_film_already(tmp_path: Path) -> None:
    pts = [number * 5 // 2 for number in range(16)]  # two or three fields each
    pictures = [moving_bars(2.5 * number) for number in range(16)]
    spec = FieldSpec(codec="libx264", rate=NTSC, pts=pts, time_base=1 / NTSC / 2, order=None)
    frames, counts = read(encode_fields(tmp_path / "clip.mkv", pictures, spec))
    assert (len(frames), counts.deinterlaced, counts.telecined) == (16, 0, 0)


def test_pictures_that_keep_their_size_stay_interlaced_beside_deinterlaced_planes(tmp_path: Path) -> None:
    pictures = interlaced(8, FieldOrder.BOTTOM)
    clip = encode_fields(tmp_path / "clip.mpg", pictures, FieldSpec(order=FieldOrder.BOTTOM))
    frames, _ = read(clip, keep=True)
    assert worst_combs(frames) < 0.05
    for frame, original in zip(frames, pictures, strict=True):
        kept = planes_of(frame.picture)[0]  # type: ignore[arg-type]
        assert np.abs(kept.astype(int) - original).mean() < 4
        assert frame.field_order is FieldOrder.BOTTOM


@pytest.mark.parametrize("time_base", [Fraction(1, 1_000_000_000), Fraction(1, 90_000)])
def test_time_base_fits_into_32_bits(time_base: Fraction) -> None:
    """A rate that is only nearly that of telecined video, and ticks that share no factor with film."""
    rate = Fraction(29_887_123, 1_000_003)
    result = Deinterlacer(iter(()), Deinterlacing(), rate=rate, time_base=time_base)
    assert result.time_base.denominator < 2**31
