"""Unusual files: edit lists, concatenated parts, broadcast audio, truncated audio."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import av
import pytest

from deepclarity.pipelines.preset import Preset
from deepclarity.pipelines.upscale import Job, upscale
from deepclarity.stream.files.source import FileSource
from tests.conftest import MakeClip

QUICK = Preset(speed="ultrafast", device="cpu", size="160x90")


def remuxed(source: Path, target: Path, *, format: str | None = None, shift_s: Fraction = Fraction(0)) -> Path:  # noqa: A002
    """Copy packets to another container, with all timestamps shifted."""
    options = {"avoid_negative_ts": "disabled", "use_editlist": "1"} if target.suffix == ".mp4" else {}
    with av.open(str(source)) as read, av.open(str(target), "w", format=format, container_options=options) as write:
        copies = {s.index: write.add_stream_from_template(s, opaque=True) for s in read.streams}
        for packet in read.demux():
            if packet.size:
                moved = int(shift_s / packet.time_base)
                packet.pts, packet.dts = (packet.pts or 0) + moved, (packet.dts or 0) + moved
                packet.stream = copies[packet.stream.index]
                write.mux(packet)
    return target


def times(path: Path) -> list[Fraction]:
    with FileSource(path) as source:
        return [frame.pts * frame.time_base for frame in source]


def sound_packets(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(packet.size > 0 for packet in container.demux(container.streams.audio[0]))


def test_clip_with_edit_list_keeps_every_frame(make_clip: MakeClip, tmp_path: Path) -> None:
    trimmed = remuxed(make_clip(count=40, size=(160, 90)), tmp_path / "trimmed.mp4", shift_s=Fraction(-2, 5))
    with av.open(str(trimmed)) as container:
        shown = sum(1 for _ in container.decode(video=0))
    assert shown < 40
    summary = upscale(Job(trimmed, tmp_path / "out.mp4", QUICK))
    assert (summary.damaged, summary.frames_out) == (0, shown)


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_concatenated_recordings_get_one_timeline(make_clip: MakeClip, tmp_path: Path, ending: str) -> None:
    part = remuxed(make_clip(count=30, size=(160, 90), tone_hz=330), tmp_path / "part.ts", format="mpegts")
    joined, out = tmp_path / "joined.ts", tmp_path / f"out{ending}"
    joined.write_bytes(part.read_bytes() * 2)
    summary = upscale(Job(joined, out, QUICK))
    found = times(out)
    assert len(found) == summary.frames_out == summary.frames_in > 50
    steps = [b - a for a, b in itertools.pairwise(found)]
    assert all(Fraction(1, 50) < step < Fraction(1, 10) for step in steps)
    assert summary.retimed > 0


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
def test_adts_audio_is_copied_into_every_container(make_clip: MakeClip, tmp_path: Path, ending: str) -> None:
    stream = remuxed(make_clip(count=30, size=(160, 90), tone_hz=330), tmp_path / "part.ts", format="mpegts")
    out = tmp_path / f"out{ending}"
    summary = upscale(Job(stream, out, QUICK))
    assert (summary.damaged, summary.frames_out) == (0, 30)
    assert sound_packets(out) == sound_packets(stream) > 20
    with av.open(str(out)) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) > 48_000


def test_unsupported_picture_size_raises_one_line_error() -> None:
    from deepclarity.errors import UsageError
    from deepclarity.stream.planes import planar_format

    with pytest.raises(UsageError, match="does not support yuv420p10le"):
        planar_format("yuv420p10le", encoder="mpeg2video")
