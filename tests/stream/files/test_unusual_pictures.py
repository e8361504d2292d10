"""Unusual pictures: sizes, rotation, sample aspect, interlacing, pixel formats, colour tags."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.sidedata.sidedata import Type as SideDataType

from tests.clips import (
    ClipSpec,
    encode_clip,
)
from tests.commands import QUICK, run_upscale
from tests.decoding import assert_same_frames, decode_frames

Capture = pytest.CaptureFixture[str]


def display_aspect(size: tuple[int, int], sample_aspect: Fraction | None = None) -> Fraction:
    return Fraction(*size) * (sample_aspect or 1)


def picture_format(path: Path) -> tuple[str, tuple[int, int, int, int]]:
    """The pixel format of the first frame, and its colour tags."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        tags = frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range
        return frame.format.name, tuple(map(int, tags))  # type: ignore[return-value]


# Sizes ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "pixel_format"),
    [
        ((321, 181), "yuv420p"),
        ((321, 181), "yuv444p"),
        ((1, 1), "yuv420p"),
        ((1, 1), "yuv444p"),
        ((2, 2), "yuv420p"),
        ((9, 501), "yuv444p"),
        ((90, 160), "yuv420p"),
        ((4096, 16), "yuv420p"),
        ((16, 4096), "yuv420p"),
    ],
)
def test_output_size_is_even_and_keeps_the_aspect(tmp_path: Path, size: tuple[int, int], pixel_format: str) -> None:
    clip = encode_clip(tmp_path / "odd.mkv", ClipSpec(count=4, size=size, codec="ffv1", pixel_format=pixel_format))
    target = tmp_path / "out.mkv"
    assert run_upscale(clip, target) == 0
    assert_same_frames(clip, target)
    width, height = decode_frames(target)[0].size
    assert width % 2 == height % 2 == 0
    if width > 2 and height > 2:
        slack = Fraction(1, min(width, height))  # an even side is up to one pixel off
        assert abs(display_aspect((width, height)) / display_aspect(size) - 1) <= max(Fraction(5, 1000), slack)


@pytest.mark.parametrize("which", ["--all", "--none"])
def test_one_pixel_video_is_processed(tmp_path: Path, which: str) -> None:
    clip = encode_clip(tmp_path / "dot.mkv", ClipSpec(count=3, size=(1, 1), codec="ffv1"))
    assert run_upscale(clip, tmp_path / "out.mp4", which, "--size", "64x64") == 0
    assert [look.size for look in decode_frames(tmp_path / "out.mp4")] == [(64, 64)] * 3


def test_8k_video_keeps_its_size(tmp_path: Path) -> None:
    clip = encode_clip(tmp_path / "large.mp4", ClipSpec(count=1, size=(7680, 4320)))
    assert run_upscale(clip, tmp_path / "out.mp4", "--none") == 0
    assert [look.size for look in decode_frames(tmp_path / "out.mp4")] == [(7680, 4320)]


def test_odd_size_above_full_hd_loses_at_most_one_row(tmp_path: Path) -> None:
    clip = encode_clip(tmp_path / "large.mkv", ClipSpec(count=2, size=(2001, 1201), codec="ffv1"))
    assert run_upscale(clip, tmp_path / "out.mp4") == 0
    width, height = decode_frames(tmp_path / "out.mp4")[0].size
    assert abs(width - 2001) <= 1
    assert abs(height - 1201) <= 1


# Shapes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotated_video_is_rotated_once(tmp_path: Path, rotation: int, ending: str) -> None:
    clip = encode_clip(tmp_path / f"turned.{ending}", ClipSpec(rotation=rotation, count=3))
    target = tmp_path / f"out.{ending}"
    assert run_upscale(clip, target) == 0
    with av.open(str(clip)) as before, av.open(str(target)) as after:
        one, other = next(before.decode(video=0)), next(after.decode(video=0))
    assert one.rotation == other.rotation != 0
    assert abs(display_aspect((other.width, other.height)) / display_aspect((160, 90)) - 1) <= Fraction(5, 1000)
    seen = (other.height, other.width) if rotation != 180 else (other.width, other.height)
    assert seen == ((608, 1080) if rotation != 180 else (1920, 1080))


def display_matrix(path: Path) -> list[int]:
    with av.open(str(path)) as container:
        data = next(container.decode(video=0)).side_data.get(SideDataType.DISPLAYMATRIX)  # type: ignore[call-overload]
        return memoryview(bytes(data)).cast("i").tolist()


@pytest.mark.parametrize("ending", ["mp4", "mov"])
def test_mirrored_video_stays_mirrored(tmp_path: Path, ending: str) -> None:
    clip = encode_clip(tmp_path / f"mirrored.{ending}", ClipSpec(rotation=90, mirrored=True, count=3))
    assert run_upscale(clip, tmp_path / f"out.{ending}") == 0
    before, after = display_matrix(clip), display_matrix(tmp_path / f"out.{ending}")
    assert [before[k] for k in (0, 1, 3, 4)] == [after[k] for k in (0, 1, 3, 4)] != [65536, 0, 0, 65536]


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
@pytest.mark.parametrize("aspect", [Fraction(2), Fraction(16, 15), Fraction(10, 11)])
def test_anamorphic_video_gets_square_samples(tmp_path: Path, aspect: Fraction, ending: str) -> None:
    clip = encode_clip(tmp_path / f"wide.{ending}", ClipSpec(size=(160, 96), sample_aspect=aspect, count=3))
    target = tmp_path / f"out.{ending}"
    assert run_upscale(clip, target) == 0
    with av.open(str(target)) as container:
        stream = container.streams.video[0]
        assert stream.sample_aspect_ratio in (None, 1)
        shown = display_aspect((stream.width, stream.height))
    assert abs(shown / display_aspect((160, 96), aspect) - 1) <= Fraction(5, 1000)


@pytest.mark.parametrize(("size", "codec"), [((160, 96), "libx264"), ((160, 90), "mpeg2video")])
@pytest.mark.parametrize("wish", ["auto", "same", "off"])
def test_video_that_stays_interlaced_is_warned_about(
    tmp_path: Path, capfd: Capture, size: tuple[int, int], codec: str, wish: str
) -> None:
    clip = encode_clip(tmp_path / "fields.mkv", ClipSpec(size=size, codec=codec, options={"flags": "+ildct+ilme"}))
    target = tmp_path / "out.mp4"
    wanted = ("--size", f"{size[0]}x{size[1]}") if wish == "same" else ("--deinterlace", wish)
    assert run_upscale(clip, target, *wanted) == 0
    warnings = [line for line in capfd.readouterr().err.splitlines() if "interlaced" in line]
    assert len(warnings) == (wish != "auto")
    assert_same_frames(clip, target)
    with av.open(str(target)) as container:
        coded_as_fields = [frame.interlaced_frame for frame in container.decode(video=0)]
    assert all(coded_as_fields) is (wish == "same" and size[1] % 4 == 0)  # H.264: only complete macroblock pairs


def test_size_change_midway_keeps_every_frame_and_one_output_size(tmp_path: Path) -> None:
    parts = [
        encode_clip(tmp_path / f"{number}.h264", ClipSpec(size=size, count=count))
        for number, (size, count) in enumerate([((160, 90), 6), ((320, 180), 7), ((120, 90), 5)])
    ]
    joined, target = tmp_path / "joined.h264", tmp_path / "out.mp4"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert len(decode_frames(joined)) == 18
    assert run_upscale(joined, target, "--size", "320x180") == 0
    after = decode_frames(target)
    assert len(after) == 18
    assert {look.size for look in after} == {(320, 180)}
    assert all(a.time_s < b.time_s for a, b in itertools.pairwise(after))
    assert [b.brightness > a.brightness for a, b in itertools.pairwise(after)].count(False) == 2


# Time -----------------------------------------------------------------------------------------------------------------


# Colours --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "yuv422p",
        "yuv444p",
        "yuv420p10le",
        "yuv422p10le",
        "yuv444p12le",
        "gray",
        "gray10le",
        "bgr0",
        "gbrp10le",
        "yuva420p",
        "yuv411p",
        "yuv440p",
    ],
)
@pytest.mark.parametrize("size", ["160x90", "320x180"])
def test_every_pixel_format_is_processed(tmp_path: Path, name: str, size: str) -> None:
    clip = encode_clip(tmp_path / "clip.mkv", ClipSpec(codec="ffv1", pixel_format=name, count=4))
    target = tmp_path / "out.mkv"
    assert run_upscale(clip, target, *QUICK, "--size", size) == 0
    assert_same_frames(clip, target)
    deep = any(bits in name for bits in ("10", "12"))
    assert ("10" in picture_format(target)[0]) == deep


@pytest.mark.parametrize(("name", "codec"), [("rgb24", "rawvideo"), ("uyvy422", "rawvideo"), ("yuvj420p", "mjpeg")])
def test_packed_and_full_range_formats_are_processed(tmp_path: Path, name: str, codec: str) -> None:
    ending = "avi" if name == "rgb24" else "mov"
    clip = encode_clip(tmp_path / f"clip.{ending}", ClipSpec(codec=codec, pixel_format=name, count=4))
    assert run_upscale(clip, tmp_path / "out.mkv", *QUICK) == 0
    assert_same_frames(clip, tmp_path / "out.mkv")


@pytest.mark.parametrize("codec", ["auto", "hevc", "av1", "h264"])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_hdr_tags_and_bit_depth_are_kept(tmp_path: Path, ending: str, codec: str) -> None:
    spec = ClipSpec(codec="ffv1", pixel_format="yuv420p10le", colour=(9, 16, 9, 1), count=4)
    clip, target = encode_clip(tmp_path / "hdr.mkv", spec), tmp_path / f"out.{ending}"
    chosen = [] if codec == "auto" else ["--codec", codec]
    assert run_upscale(clip, target, *QUICK, *chosen) == 0
    assert_same_frames(clip, target)
    assert picture_format(target) == ("yuv420p10le", (9, 16, 9, 1))


@pytest.mark.parametrize("colour", [(1, 1, 1, 1), (5, 6, 5, 1), (1, 13, 1, 2), (9, 18, 9, 1)])
def test_colour_tags_are_kept(tmp_path: Path, colour: tuple[int, int, int, int]) -> None:
    clip = encode_clip(tmp_path / "clip.mkv", ClipSpec(colour=colour, count=4, codec="ffv1"))
    target = tmp_path / "out.mp4"
    assert run_upscale(clip, target, *QUICK, "--codec", "h264", "--size", "320x180") == 0
    assert picture_format(target)[1] == colour
    assert_same_frames(clip, target)


# Other tracks ---------------------------------------------------------------------------------------------------------
