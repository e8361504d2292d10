"""Subtitles between containers: copied where they can be, converted otherwise, and what is left out is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import av
import pytest
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Disposition
from av.subtitles.stream import SubtitleStream

from deepclarity.stream.files.passthrough import Passthrough
from deepclarity.stream.files.tracks.subtitles import ASS_HEADER, TEXT_CODECS, Run, _from_mov_text, convert
from deepclarity.stream.packets import AnyPacket
from tests.clips import ClipSpec, add_video, encode_clip, encode_video
from tests.commands import QUICK, run_upscale

Capture = pytest.CaptureFixture[str]

CUES = {
    "subrip": b"Plain, <i>slanted</i>\nand <b>bold</b> & more",
    "webvtt": b"Plain, <i>slanted</i>\nand <b>bold</b> &amp; more",
    "ass": rb"0,0,Default,,0,0,0,,Plain, {\i1}slanted{\i0}\Nand {\b1}bold{\b0} & more",
}
PLAIN = "Plain, slanted\nand bold & more"


def encode_subtitles(path: Path, codec: str) -> Path:
    """A video with one text track in `codec`, in French, forced, with two cues."""
    spec = ClipSpec(codec="libvpx-vp9" if path.suffix == ".webm" else "libx264", options={})
    with av.open(str(path), "w") as container:
        video, text = add_video(container, spec), container.add_stream(codec)
        assert isinstance(text, SubtitleStream)
        text.codec_context.subtitle_header = ASS_HEADER
        text.metadata["language"] = "fra"
        text.disposition = Disposition.forced
        encode_video(container, video, spec)
        content = CUES.get(codec) or convert(CUES["subrip"], "subrip", codec)
        for start in (80, 240):
            packet = Packet(content)
            packet.pts = packet.dts = start
            packet.duration, packet.time_base, packet.stream = 120, (av.time_base and text.time_base) or None, text
            packet.time_base = __import__("fractions").Fraction(1, 1000)
            container.mux(packet)
    return path


def cues(path: Path) -> list[tuple[float, float, str, bytes]]:
    """Start, duration, codec and content of the subtitles of a file."""
    with av.open(str(path)) as container:
        found = []
        for stream in container.streams.subtitles:
            for packet in container.demux(stream):
                if packet.size and bytes(packet) != b"\0\0":
                    base = packet.time_base
                    name = stream.codec_context.name
                    found.append((float(packet.pts * base), float(packet.duration * base), name, bytes(packet)))
        return found


@pytest.mark.parametrize("codec", ["subrip", "webvtt", "mov_text", "ass"])
@pytest.mark.parametrize("ending", ["mkv", "webm", "mp4", "mov"])
def test_text_is_kept_in_every_container(tmp_path: Path, capfd: Capture, codec: str, ending: str) -> None:
    source = encode_subtitles(tmp_path / ("a.mp4" if codec == "mov_text" else "a.mkv"), codec)
    target = tmp_path / f"o.{ending}"
    assert run_upscale(source, target, *QUICK) == 0
    found = cues(target)
    expected = {"mkv": {"srt", "webvtt", "ass"}, "webm": {"webvtt"}, "mp4": {"mov_text"}, "mov": {"mov_text"}}[ending]
    assert {name for _, _, name, _ in found} <= expected | {"subrip", "ssa"}
    assert [(start, length) for start, length, _, _ in found] == [
        (pytest.approx(0.08, abs=0.002), pytest.approx(0.12, abs=0.002)),
        (pytest.approx(0.24, abs=0.002), pytest.approx(0.12, abs=0.002)),
    ]
    for _, _, name, content in found:
        assert b"slanted" in content
        assert b"bold" in content
        if name == "mov_text":
            assert [run.text for run in _from_mov_text(content) if run.italic] == ["slanted"]
    with av.open(str(target)) as container:
        text = container.streams.subtitles[0]
        assert text.language == "fra"
        assert text.disposition & Disposition.forced or ending in ("mp4", "mov")
    lossy = codec == "ass" and ending != "mkv"
    assert ("fonts, colours" in capfd.readouterr().err) == lossy


@pytest.mark.parametrize("source", sorted(CUES))
@pytest.mark.parametrize("target", ["subrip", "webvtt", "mov_text"])
def test_conversion_keeps_text_and_styles(source: str, target: str) -> None:
    converted = convert(CUES[source], source, target)
    assert converted is not None
    back = converted if target == "subrip" else convert(converted, target, "subrip")
    assert back == CUES["subrip"]


def test_mpeg4_timed_text_of_other_encodings_and_damage() -> None:
    assert _from_mov_text(b"\0\x0c" + "Grüße".encode("utf-16")) == (Run("Grüße"),)
    assert _from_mov_text(b"") == _from_mov_text(b"\0") == _from_mov_text(b"\0\0") == ()
    assert _from_mov_text(b"\0\5Hello\0\0\0\x0cstyl\xff\xff\0\0") == (Run("Hello"),)
    assert _from_mov_text(b"\xff\xffHello") == (Run("Hello"),)


def test_empty_cues_give_no_packet() -> None:
    for codec, content in (
        ("subrip", b" \n"),
        ("webvtt", b"<b></b>"),
        ("mov_text", b"\0\0"),
        ("ass", b"0,0,,,,,,,{x}"),
    ):
        assert convert(content, codec, "subrip") is None


@pytest.mark.parametrize("codec", sorted(TEXT_CODECS))
def test_conversion_accepts_any_bytes(codec: str) -> None:
    for content in (b"", b"\xff\xfe\0", b"<<<>>>", b"{" * 50, b"a,b", bytes(range(256))):
        for target in ("subrip", "webvtt", "mov_text"):
            convert(content, codec, target)


def test_arrow_and_empty_lines_do_not_end_a_cue_of_webvtt() -> None:
    converted = convert(b"a --> b\n\nc", "subrip", "webvtt")
    assert converted is not None
    assert b"-->" not in converted
    assert b"\n\n" not in converted


def test_transparency_that_is_lost_is_named(tmp_path: Path, capfd: Capture) -> None:
    spec = ClipSpec(codec="ffv1", pixel_format="yuva420p")
    source, report = encode_clip(tmp_path / "a.mkv", spec), tmp_path / "r.json"
    assert run_upscale(source, tmp_path / "o.mp4", *QUICK, "--report", str(report)) == 0
    assert "left out: transparency" in capfd.readouterr().err
    assert json.loads(report.read_text())["summary"]["lost"] == ["transparency"]


def test_nothing_is_named_where_nothing_is_lost(tmp_path: Path, capfd: Capture) -> None:
    report = tmp_path / "r.json"
    assert (
        run_upscale(encode_clip(tmp_path / "a.mp4", ClipSpec()), tmp_path / "o.mp4", *QUICK, "--report", str(report))
        == 0
    )
    assert "left out" not in capfd.readouterr().err
    assert json.loads(report.read_text())["summary"]["lost"] == []


def test_packets_that_the_muxer_refuses_are_dropped_and_counted(tmp_path: Path) -> None:
    """They are never the end of the job; an error of the disk is."""
    source = encode_subtitles(tmp_path / "a.mkv", "subrip")

    class Muxer:
        error: Exception = av.error.InvalidDataError(1094995529, "refused")

        def mux_one(self, packet: AnyPacket) -> None:
            if packet.pts == 240:
                raise self.error

    muxer = cast("OutputContainer", Muxer())
    with Passthrough(source, exclude=0) as passthrough, av.open(str(tmp_path / "o.mkv"), "w") as output:
        passthrough.add_tracks(output, video=output.add_stream("libx264", rate=25))
        passthrough.mux_until(None, muxer)
        assert passthrough.damaged == 1
    Muxer.error = av.error.OSError(28, "No space left on device")
    with Passthrough(source, exclude=0) as passthrough, av.open(str(tmp_path / "o.mkv"), "w") as output:
        passthrough.add_tracks(output, video=output.add_stream("libx264", rate=25))
        with pytest.raises(OSError, match="No space"):
            passthrough.mux_until(None, muxer)
