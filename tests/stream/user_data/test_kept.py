"""Captions and dynamic HDR metadata of frames that are encoded anew, through the entire pipeline."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
from av.sidedata.sidedata import Type

from deepclarity.stream.user_data.messages import caption_messages
from tests.captioned_clips import (
    encode_captioned,
    encode_with_user_data,
    hdr10_plus,
    side_data,
    triplets,
)
from tests.clips import ClipSpec
from tests.commands import QUICK, run_upscale

Capture = pytest.CaptureFixture[str]
SIZE = (192, 128)
QUIET = {"x265-params": "log-level=none:bframes=3"}
X264 = {"preset": "veryfast"}


def assert_same(before: dict[Fraction, bytes], after: dict[Fraction, bytes], count: int) -> None:
    """Equal bytes at equal times, up to the resolution of Matroska."""
    assert list(before.values()) == list(after.values())
    assert len(after) == count
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
    options = {"libx264": X264, "libx265": QUIET}.get(codec, {})
    source = encode_captioned(tmp_path / name, ClipSpec(count=14, size=SIZE, codec=codec, options=options))
    report = tmp_path / "r.json"
    assert run_upscale(source, tmp_path / output, *QUICK, "--codec", wanted, "--report", str(report)) == 0
    assert_same(side_data(source), side_data(tmp_path / output), 14)
    assert json.loads(report.read_text())["summary"]["lost"] == []


def test_captions_are_there_once_where_frames_pass_unchanged(tmp_path: Path) -> None:
    source = encode_captioned(tmp_path / "in.mp4", ClipSpec(count=6, size=SIZE))
    assert run_upscale(source, tmp_path / "o.mp4", "--none", "--copy", "never") == 0
    assert_same(side_data(source), side_data(tmp_path / "o.mp4"), 6)


@pytest.mark.parametrize("codec", ["hevc", "av1"])
def test_hdr10_plus_is_kept_where_it_has_a_place(tmp_path: Path, codec: str) -> None:
    messages = {number: (hdr10_plus(number), *caption_messages(triplets(number))) for number in range(12)}
    spec = ClipSpec(
        count=12, size=SIZE, codec="libx265", pixel_format="yuv420p10le", options=QUIET, colour=(9, 16, 9, 1)
    )
    source = encode_with_user_data(tmp_path / "in.mp4", messages, spec)
    assert run_upscale(source, tmp_path / "o.mkv", *QUICK, "--codec", codec) == 0
    for kind in (Type.DYNAMIC_HDR_PLUS, Type.A53_CC):
        assert_same(side_data(source, kind), side_data(tmp_path / "o.mkv", kind), 12)


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
