"""Videos out of the ordinary: every frame, its time, its shape and its colours come through."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Disposition, Stream

from tests.clips import (
    QUICK,
    Recipe,
    add_sound,
    add_video,
    assert_same_story,
    encode_sound,
    encode_video,
    looks,
    make,
    make_covered,
    make_crowded,
    sound,
    times,
    upscale,
)

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
def test_any_size_leaves_even_and_in_shape(tmp_path: Path, size: tuple[int, int], pixel_format: str) -> None:
    clip = make(tmp_path / "odd.mkv", Recipe(count=4, size=size, codec="ffv1", pixel_format=pixel_format))
    target = tmp_path / "out.mkv"
    assert upscale(clip, target) == 0
    assert_same_story(clip, target)
    width, height = looks(target)[0].size
    assert width % 2 == height % 2 == 0
    if width > 2 and height > 2:
        slack = Fraction(1, min(width, height))  # an even side is up to one pixel off
        assert abs(display_aspect((width, height)) / display_aspect(size) - 1) <= max(Fraction(5, 1000), slack)


@pytest.mark.parametrize("which", ["--all", "--none"])
def test_one_pixel_is_a_picture(tmp_path: Path, which: str) -> None:
    clip = make(tmp_path / "dot.mkv", Recipe(count=3, size=(1, 1), codec="ffv1"))
    assert upscale(clip, tmp_path / "out.mp4", which, "--size", "64x64") == 0
    assert [look.size for look in looks(tmp_path / "out.mp4")] == [(64, 64)] * 3


def test_eight_k_is_not_made_smaller(tmp_path: Path) -> None:
    clip = make(tmp_path / "large.mp4", Recipe(count=1, size=(7680, 4320)))
    assert upscale(clip, tmp_path / "out.mp4", "--none") == 0
    assert [look.size for look in looks(tmp_path / "out.mp4")] == [(7680, 4320)]


def test_an_odd_size_beyond_full_hd_loses_at_most_a_row(tmp_path: Path) -> None:
    clip = make(tmp_path / "large.mkv", Recipe(count=2, size=(2001, 1201), codec="ffv1"))
    assert upscale(clip, tmp_path / "out.mp4") == 0
    width, height = looks(tmp_path / "out.mp4")[0].size
    assert abs(width - 2001) <= 1
    assert abs(height - 1201) <= 1


# Shapes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_turned_picture_is_turned_once(tmp_path: Path, rotation: int, ending: str) -> None:
    clip = make(tmp_path / f"turned.{ending}", Recipe(rotation=rotation, count=3))
    target = tmp_path / f"out.{ending}"
    assert upscale(clip, target) == 0
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
def test_a_mirrored_picture_stays_mirrored(tmp_path: Path, ending: str) -> None:
    clip = make(tmp_path / f"mirrored.{ending}", Recipe(rotation=90, mirrored=True, count=3))
    assert upscale(clip, tmp_path / f"out.{ending}") == 0
    before, after = display_matrix(clip), display_matrix(tmp_path / f"out.{ending}")
    assert [before[k] for k in (0, 1, 3, 4)] == [after[k] for k in (0, 1, 3, 4)] != [65536, 0, 0, 65536]


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
@pytest.mark.parametrize("aspect", [Fraction(2), Fraction(16, 15), Fraction(10, 11)])
def test_wide_samples_become_square(tmp_path: Path, aspect: Fraction, ending: str) -> None:
    clip = make(tmp_path / f"wide.{ending}", Recipe(size=(160, 96), sample_aspect=aspect, count=3))
    target = tmp_path / f"out.{ending}"
    assert upscale(clip, target) == 0
    with av.open(str(target)) as container:
        stream = container.streams.video[0]
        assert stream.sample_aspect_ratio in (None, 1)
        shown = display_aspect((stream.width, stream.height))
    assert abs(shown / display_aspect((160, 96), aspect) - 1) <= Fraction(5, 1000)


@pytest.mark.parametrize(("size", "codec"), [((160, 96), "libx264"), ((160, 90), "mpeg2video")])
@pytest.mark.parametrize("wish", ["auto", "same"])
def test_interlaced_video_is_told_and_done(
    tmp_path: Path, capfd: Capture, size: tuple[int, int], codec: str, wish: str
) -> None:
    clip = make(tmp_path / "fields.mkv", Recipe(size=size, codec=codec, options={"flags": "+ildct+ilme"}))
    target = tmp_path / "out.mp4"
    assert upscale(clip, target, "--size", "auto" if wish == "auto" else f"{size[0]}x{size[1]}") == 0
    warnings = [line for line in capfd.readouterr().err.splitlines() if "interlaced" in line]
    assert len(warnings) == 1
    assert_same_story(clip, target)
    if wish == "same":
        with av.open(str(target)) as container:
            coded_as_fields = all(frame.interlaced_frame for frame in container.decode(video=0))
        assert coded_as_fields is (size[1] % 4 == 0)  # H.264 has fields only of whole macroblock pairs


def test_a_change_of_size_in_the_middle_keeps_every_frame_and_one_size(tmp_path: Path) -> None:
    parts = [
        make(tmp_path / f"{number}.h264", Recipe(size=size, count=count))
        for number, (size, count) in enumerate([((160, 90), 6), ((320, 180), 7), ((120, 90), 5)])
    ]
    joined, target = tmp_path / "joined.h264", tmp_path / "out.mp4"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert len(looks(joined)) == 18
    assert upscale(joined, target, "--size", "320x180") == 0
    after = looks(target)
    assert len(after) == 18
    assert {look.size for look in after} == {(320, 180)}
    assert all(a.time_s < b.time_s for a, b in itertools.pairwise(after))
    assert [b.brightness > a.brightness for a, b in itertools.pairwise(after)].count(False) == 2


# Time -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("rate", [1, 240])
def test_slow_and_fast_frame_rates(tmp_path: Path, rate: int, ending: str) -> None:
    clip = make(tmp_path / "clip.mp4", Recipe(rate=rate))
    target = tmp_path / f"out.{ending}"
    assert upscale(clip, target, *QUICK) == 0
    assert_same_story(clip, target)


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_uneven_frame_times_stay(tmp_path: Path, ending: str, codec: str) -> None:
    moments = [0, 1, 2, 40, 41, 300, 301, 302, 303, 2000]
    clip = make(tmp_path / "uneven.mkv", Recipe(moments=moments, time_base=Fraction(1, 1000)))
    target = tmp_path / f"out.{ending}"
    assert upscale(clip, target, *QUICK, "--codec", codec) == 0
    assert_same_story(clip, target)
    assert times(clip) == [Fraction(moment, 1000) for moment in moments]


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_frames_behind_b_frames_stay_in_order(tmp_path: Path, ending: str) -> None:
    recipe = Recipe(count=20, options={"preset": "medium", "bf": "3"}, container_options={"use_editlist": "0"})
    clip = make(tmp_path / "clip.mp4", recipe)
    target = tmp_path / f"out.{ending}"
    assert upscale(clip, target, *QUICK, "--speed", "medium") == 0
    assert_same_story(clip, target)


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_live_recording_without_a_duration(tmp_path: Path, ending: str) -> None:
    clip = make(tmp_path / "live.mkv", Recipe(container_options={"live": "1"}))
    with av.open(str(clip)) as container:
        assert container.duration is None
    assert upscale(clip, tmp_path / f"out.{ending}", *QUICK) == 0
    assert_same_story(clip, tmp_path / f"out.{ending}")


def test_a_raw_stream_without_any_times_gets_even_ones(tmp_path: Path) -> None:
    clip = make(tmp_path / "raw.h264", Recipe(count=20, options={"preset": "medium"}))
    assert upscale(clip, tmp_path / "out.mp4", *QUICK) == 0
    assert times(tmp_path / "out.mp4") == [Fraction(number, 25) for number in range(20)]


@pytest.mark.parametrize("kind", ["clip.ts", "clip.avi"])
def test_other_containers(tmp_path: Path, kind: str) -> None:
    clip = make(tmp_path / kind, Recipe(count=20))
    assert upscale(clip, tmp_path / "out.mkv", *QUICK) == 0
    first = times(clip)[0]
    assert [a - first for a in times(clip)] == pytest.approx(
        [b - times(tmp_path / "out.mkv")[0] for b in times(tmp_path / "out.mkv")], abs=0.001
    )


def make_late(path: Path, *, picture_s: float, sound_s: float) -> Path:
    """Picture and sound that begin at these times."""
    moments = [round((picture_s + number / 25) * 1000) for number in range(10)]
    recipe = Recipe(moments=moments, time_base=Fraction(1, 1000))
    with av.open(str(path), "w") as container:
        video, voice = add_video(container, recipe), add_sound(container)
        encode_video(container, video, recipe)
        encode_sound(container, voice, seconds=0.4, start_s=sound_s)
    return path


def lead_s(path: Path) -> float:
    """Seconds from the first picture to the first sound."""
    with av.open(str(path)) as container:
        sounds = [packet.pts * packet.time_base for packet in container.demux(audio=0) if packet.size]
    return float(min(sounds) - times(path)[0])


@pytest.mark.parametrize(("source", "target"), [("mp4", "mp4"), ("mkv", "mkv"), ("mp4", "mkv"), ("mkv", "mp4")])
@pytest.mark.parametrize(("picture_s", "sound_s"), [(0.0, 0.5), (0.5, 0.0), (0.0, 0.0), (1.0, 1.2)])
def test_sound_stays_as_far_from_the_picture(
    tmp_path: Path, source: str, target: str, picture_s: float, sound_s: float
) -> None:
    clip = make_late(tmp_path / f"late.{source}", picture_s=picture_s, sound_s=sound_s)
    out = tmp_path / f"out.{target}"
    assert upscale(clip, out, *QUICK) == 0
    assert lead_s(out) == pytest.approx(lead_s(clip), abs=0.0011)
    assert sound(out) == sound(clip) != []
    if target == "mp4":
        assert times(out) == times(clip)


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
def test_every_pixel_format(tmp_path: Path, name: str, size: str) -> None:
    clip = make(tmp_path / "clip.mkv", Recipe(codec="ffv1", pixel_format=name, count=4))
    target = tmp_path / "out.mkv"
    assert upscale(clip, target, *QUICK, "--size", size) == 0
    assert_same_story(clip, target)
    deep = any(bits in name for bits in ("10", "12"))
    assert ("10" in picture_format(target)[0]) == deep


@pytest.mark.parametrize(("name", "codec"), [("rgb24", "rawvideo"), ("uyvy422", "rawvideo"), ("yuvj420p", "mjpeg")])
def test_packed_and_full_range_formats(tmp_path: Path, name: str, codec: str) -> None:
    ending = "avi" if name == "rgb24" else "mov"
    clip = make(tmp_path / f"clip.{ending}", Recipe(codec=codec, pixel_format=name, count=4))
    assert upscale(clip, tmp_path / "out.mkv", *QUICK) == 0
    assert_same_story(clip, tmp_path / "out.mkv")


@pytest.mark.parametrize("codec", ["auto", "hevc", "av1", "h264"])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_high_dynamic_range_stays_so(tmp_path: Path, ending: str, codec: str) -> None:
    recipe = Recipe(codec="ffv1", pixel_format="yuv420p10le", colour=(9, 16, 9, 1), count=4)
    clip, target = make(tmp_path / "hdr.mkv", recipe), tmp_path / f"out.{ending}"
    chosen = [] if codec == "auto" else ["--codec", codec]
    assert upscale(clip, target, *QUICK, *chosen) == 0
    assert_same_story(clip, target)
    assert picture_format(target) == ("yuv420p10le", (9, 16, 9, 1))


@pytest.mark.parametrize("colour", [(1, 1, 1, 1), (5, 6, 5, 1), (1, 13, 1, 2), (9, 18, 9, 1)])
def test_colour_tags_stay(tmp_path: Path, colour: tuple[int, int, int, int]) -> None:
    clip = make(tmp_path / "clip.mkv", Recipe(colour=colour, count=4, codec="ffv1"))
    target = tmp_path / "out.mp4"
    assert upscale(clip, target, *QUICK, "--codec", "h264", "--size", "320x180") == 0
    assert picture_format(target)[1] == colour
    assert_same_story(clip, target)


# Other tracks ---------------------------------------------------------------------------------------------------------


def tracks(path: Path) -> list[tuple[str, str | None]]:
    def told(stream: Stream) -> tuple[str, str | None]:
        return stream.type, stream.language

    with av.open(str(path)) as container:
        return [told(stream) for stream in container.streams]


def chapters(path: Path) -> list[tuple[float, str]]:
    with av.open(str(path)) as container:
        return [(float(c["start"] * c["time_base"]), c["metadata"].get("title", "")) for c in container.chapters()]


def subtitles(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        return [bytes(packet) for packet in container.demux(stream) if packet.size]


def test_matroska_keeps_every_track(tmp_path: Path, capfd: Capture) -> None:
    crowded, target = make_crowded(tmp_path), tmp_path / "out.mkv"
    assert upscale(crowded, target, *QUICK) == 0
    assert "warning" not in capfd.readouterr().err
    assert sorted(map(str, tracks(target))) == sorted(map(str, tracks(crowded)))
    assert [sound(target, track) for track in (0, 1)] == [sound(crowded, track) for track in (0, 1)]
    assert subtitles(target) == subtitles(crowded) != []
    assert chapters(target) == chapters(crowded) == [(0.0, "One"), (0.2, "Two")]
    with av.open(str(target)) as container:
        assert container.metadata["title"] == "Crowded"
        assert container.streams.attachments[0].data == b"not really a font" * 20
        assert container.streams.attachments[0].mimetype == "application/x-truetype-font"


def test_mp4_drops_what_it_cannot_hold_with_a_word_for_each(tmp_path: Path, capfd: Capture) -> None:
    crowded, target = make_crowded(tmp_path), tmp_path / "out.mp4"
    assert upscale(crowded, target, *QUICK) == 0
    warnings = [line for line in capfd.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 2
    assert sum("subtitle" in line and "fra" in line for line in warnings) == 1
    assert sum("attachment" in line for line in warnings) == 1
    kept = [track for track in tracks(target) if track[0] in ("video", "audio", "subtitle", "attachment")]
    assert [kind for kind, _ in kept] == ["video", "audio", "audio"]
    assert [language for kind, language in kept if kind == "audio"] == ["eng", "deu"]
    assert [sound(target, track) for track in (0, 1)] == [sound(crowded, track) for track in (0, 1)]
    assert chapters(target) == [(0.0, "One"), (0.2, "Two")]


def test_webm_drops_what_it_cannot_hold_and_keeps_the_picture(tmp_path: Path, capfd: Capture) -> None:
    crowded, target = make_crowded(tmp_path), tmp_path / "out.webm"
    assert upscale(crowded, target, *QUICK) == 0
    warnings = [line for line in capfd.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 4 - len(tracks(target)) + 1
    assert_same_story(crowded, target)


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_cover_art_is_no_video_and_comes_along(tmp_path: Path, ending: str) -> None:
    clip, target = make_covered(tmp_path / "covered.mp4"), tmp_path / f"out.{ending}"
    assert upscale(clip, target, *QUICK) == 0
    assert_same_story(clip, target)
    with av.open(str(target)) as container:
        covers = [s for s in container.streams.video if s.disposition & Disposition.attached_pic]
        assert [(cover.width, cover.height) for cover in covers] == [(640, 480)]


def test_an_ending_in_capitals_is_the_same_ending(tmp_path: Path) -> None:
    clip = make(tmp_path / "CLIP.MOV", Recipe(count=3))
    assert upscale(clip, tmp_path / "OUT.MP4", *QUICK) == 0
    assert times(tmp_path / "OUT.MP4") == times(clip)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["CLIP.MOV", "OUT.MP4"]
