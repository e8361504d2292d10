"""Captions and dynamic HDR metadata of frames that are encoded anew, through the entire pipeline."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from av.sidedata.sidedata import Type

from deepclarity.pipelines.preset import Preset
from deepclarity.pipelines.records import Summary
from deepclarity.pipelines.route import FrameSelection
from deepclarity.pipelines.upscale import Job, upscale
from deepclarity.stream.files.encode import EncodeSettings
from deepclarity.stream.files.reading import packet_content
from deepclarity.stream.files.sink import FileSink
from deepclarity.stream.files.source import FileSource
from deepclarity.stream.segments.plan import CopyRequest, open_splicer
from deepclarity.stream.user_data.messages import active_format_message, caption_messages
from tests.captioned_clips import (
    add_captions,
    add_unit,
    encode_captioned,
    encode_with_user_data,
    hdr10_plus,
    side_data,
    triplets,
)
from tests.clips import ClipSpec, encode_clip
from tests.commands import QUICK, run_upscale
from tests.decoding import decode_frames
from tests.interlaced_clips import NTSC, FieldSpec, encode_fields, film_frames, interlaced, telecined

Capture = pytest.CaptureFixture[str]
SIZE = (192, 128)
QUIET = {"x265-params": "log-level=none:bframes=0"}
"""For x265, which gives arbitrary decoding times to fewer frames than it reorders."""
B_FRAMES = {"x265-params": "log-level=none:bframes=3"}
X264 = {"preset": "veryfast"}


def assert_same(before: dict[Fraction, bytes], after: dict[Fraction, bytes], count: int) -> None:
    """Equal bytes at equal times, up to the resolution of Matroska."""
    assert list(before.values()) == list(after.values())
    assert len(after) == count
    assert_times(before, after)


def assert_times(before: dict[Fraction, bytes], after: dict[Fraction, bytes]) -> None:
    assert all(abs(one - other) <= Fraction(1, 500) for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("codec", "name", "output", "wanted"),
    [
        ("libx264", "in.mp4", "out.mkv", "h264"),
        ("libx265", "in.ts", "out.mp4", "hevc"),
        ("mpeg2video", "in.mpg", "out.mp4", "h264"),
        ("libx264", "in.mkv", "out.webm", "av1"),
    ],
)
def test_every_frame_keeps_its_captions(tmp_path: Path, codec: str, name: str, output: str, wanted: str) -> None:
    options = {"libx264": X264, "libx265": B_FRAMES}.get(codec, {})
    source = encode_captioned(tmp_path / name, ClipSpec(count=14, size=SIZE, codec=codec, options=options))
    report = tmp_path / "r.json"
    assert run_upscale(source, tmp_path / output, *QUICK, "--codec", wanted, "--report", str(report)) == 0
    assert_same(side_data(source), side_data(tmp_path / output), 14)
    assert json.loads(report.read_text())["summary"]["lost"] == []


def test_captions_are_there_once_where_frames_pass_unchanged(tmp_path: Path) -> None:
    source = encode_captioned(tmp_path / "in.mp4", ClipSpec(count=6, size=SIZE))
    assert run_upscale(source, tmp_path / "o.mp4", "--none", "--copy", "never") == 0
    assert_same(side_data(source), side_data(tmp_path / "o.mp4"), 6)


@pytest.mark.parametrize(("mode", "count"), [("frame", 12), ("field", 24)])
def test_captions_of_interlaced_pictures_are_there_once(tmp_path: Path, mode: str, count: int) -> None:
    encode_fields(tmp_path / "i.ts", interlaced(12), FieldSpec(codec="libx264"))
    source = add_captions(tmp_path / "i.ts", tmp_path / "in.ts")
    assert run_upscale(source, tmp_path / "o.mp4", *QUICK, "--deinterlace", mode) == 0
    before, after = side_data(source), side_data(tmp_path / "o.mp4")
    assert list(after.values()) == list(before.values()) == [triplets(number) for number in range(12)]
    assert_times(before, after)
    assert len(decode_frames(tmp_path / "o.mp4")) == count


def test_captions_of_telecined_pictures_that_are_left_out_go_with_the_next(tmp_path: Path) -> None:
    encode_fields(tmp_path / "i.ts", telecined(film_frames(16)), FieldSpec(rate=NTSC, codec="libx264"))
    source = add_captions(tmp_path / "i.ts", tmp_path / "in.ts")
    assert run_upscale(source, tmp_path / "o.mp4", *QUICK, "--deinterlace", "auto") == 0
    after = side_data(tmp_path / "o.mp4")
    assert len(decode_frames(tmp_path / "o.mp4")) == 16
    assert b"".join(after.values()) == b"".join(triplets(number) for number in range(20))


def test_captions_are_kept_beside_copied_packets(tmp_path: Path) -> None:
    """Frame 25 is repaired: its segment is encoded, frames that went by before it included."""
    options = {"preset": "veryfast", "g": "20", "keyint_min": "20"}
    clip = encode_captioned(tmp_path / "in.mp4", ClipSpec(count=60, size=SIZE, options=options))
    settings, target = EncodeSettings(speed="veryfast"), tmp_path / "o.mp4"
    with FileSource(clip) as source:
        request = CopyRequest(
            path=clip, stream_index=0, info=source.info, size=SIZE, pixel_format="yuv420p", settings=settings
        )
        track = open_splicer(request)
        with FileSink(
            target, info=source.info, size=SIZE, pixel_format="yuv420p", settings=settings, track=track
        ) as sink:
            for frame in source:
                sink.write(replace(frame, changed=frame.index == 25))
    assert track.counts.copied == 40
    assert_same(side_data(clip), side_data(target), 60)


def test_a_resumed_run_has_every_caption_once(tmp_path: Path) -> None:
    clip = encode_captioned(tmp_path / "in.mp4", ClipSpec(count=20, size=SIZE))
    preset = Preset(size="160x90", which=FrameSelection.NONE, restart_every_frames=8, speed="ultrafast")

    def interrupt(summary: Summary, info: object) -> None:
        if summary.frames_out == 13:
            raise KeyboardInterrupt

    target = tmp_path / "o.mp4"
    with pytest.raises(KeyboardInterrupt):
        upscale(Job(clip, target, preset), progress=interrupt)
    upscale(Job(clip, target, preset, resume=True))
    assert_same(side_data(clip), side_data(target), 20)


@pytest.mark.parametrize("codec", ["hevc", "av1"])
def test_hdr10_plus_is_kept_where_it_has_a_place(tmp_path: Path, codec: str) -> None:
    messages = {number: (hdr10_plus(number), *caption_messages(triplets(number))) for number in range(12)}
    spec = ClipSpec(
        count=12, size=SIZE, codec="libx265", pixel_format="yuv420p10le", options=B_FRAMES, colour=(9, 16, 9, 1)
    )
    source = encode_with_user_data(tmp_path / "in.mp4", messages, spec)
    assert run_upscale(source, tmp_path / "o.mkv", *QUICK, "--codec", codec) == 0
    for kind in (Type.DYNAMIC_HDR_PLUS, Type.A53_CC):
        assert_same(side_data(source, kind), side_data(tmp_path / "o.mkv", kind), 12)


def test_hdr10_plus_is_kept_that_only_the_decoder_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Matroska holds that of VP9 beside the packets."""
    monkeypatch.setattr(packet_content, "packet_reader", lambda codec, extradata: None)
    spec = ClipSpec(count=5, size=SIZE, codec="libx265", pixel_format="yuv420p10le", options=QUIET)
    source = encode_with_user_data(tmp_path / "in.mp4", {number: (hdr10_plus(number),) for number in range(5)}, spec)
    assert run_upscale(source, tmp_path / "o.mp4", *QUICK) == 0
    kind = Type.DYNAMIC_HDR_PLUS
    assert_same(side_data(source, kind), side_data(tmp_path / "o.mp4", kind), 5)


@pytest.mark.parametrize(("codec", "name"), [("mpeg2video", "in.ts"), ("libx265", "in.mp4")])
@pytest.mark.parametrize(("options", "kept"), [(("--size", "160x90"), True), (("--size", "160x120", "--pad"), False)])
def test_active_formats_are_kept_unless_bars_are_added(
    tmp_path: Path, codec: str, name: str, options: tuple[str, ...], kept: bool
) -> None:
    messages = {number: (active_format_message(8 + number % 4),) for number in range(4)}
    spec = ClipSpec(count=4, size=SIZE, codec=codec, options=QUIET if codec == "libx265" else {})
    source = encode_with_user_data(tmp_path / name, messages, spec)
    assert [code[0] for code in side_data(source, Type.AFD).values()] == [8, 9, 10, 11]
    assert run_upscale(source, tmp_path / "o.mp4", "--none", *options) == 0
    expected = list(side_data(source, Type.AFD).values()) if kept else []
    assert list(side_data(tmp_path / "o.mp4", Type.AFD).values()) == expected


@pytest.mark.parametrize("output", ["o.mp4", "o.webm"])
def test_dolby_vision_is_named(tmp_path: Path, capfd: Capture, output: str) -> None:
    spec = ClipSpec(count=3, size=SIZE, codec="libx265", pixel_format="yuv420p10le", options=QUIET)
    encode_clip(tmp_path / "plain.ts", spec)
    source = add_unit(tmp_path / "plain.ts", tmp_path / "in.ts", b"\x7c\x01\x19\x08\x09\x00\x40")
    assert run_upscale(source, tmp_path / output, *QUICK) == 0
    assert capfd.readouterr().err.count("left out: Dolby Vision metadata\n") == 1


def test_what_the_output_cannot_hold_is_named(tmp_path: Path, capfd: Capture) -> None:
    messages = {0: (hdr10_plus(0), *caption_messages(triplets(0)))}
    spec = ClipSpec(count=3, size=SIZE, codec="libx265", pixel_format="yuv420p10le", options=QUIET)
    source = encode_with_user_data(tmp_path / "in.mp4", messages, spec)
    assert run_upscale(source, tmp_path / "o.mp4", *QUICK, "--codec", "h264") == 0
    assert "left out: HDR10+ metadata\n" in capfd.readouterr().err
    assert run_upscale(source, tmp_path / "o.gif", *QUICK) == 0
    named = capfd.readouterr().err
    assert "left out: closed captions\n" in named
    assert "left out: HDR10+ metadata\n" in named
