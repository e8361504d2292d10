"""Tracks of files made for it, copied between containers: timecode, covers, text and sound with rounded times."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.subtitles.subtitle import SubtitleSet

from deepclarity.pipelines.preset import Preset
from deepclarity.pipelines.route import FrameSelection
from deepclarity.pipelines.upscale import Job, upscale

QUICK = Preset(which=FrameSelection.NONE, size="160x90", speed="ultrafast", device="cpu")
RATE, SECONDS = 25, 3


def film(path: Path, *, timecode: str | None = None, cover: bool = False, subtitles: str | None = None) -> Path:
    """Three seconds of moving noise and sound."""
    rng = np.random.default_rng(2)
    noise = rng.integers(0, 255, (270, 320), np.uint8)
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264" if path.suffix != ".webm" else "libvpx-vp9", rate=RATE)
        video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
        if path.suffix != ".webm":
            video.options = {"preset": "ultrafast"}
        else:
            video.options = {"deadline": "realtime", "cpu-used": "8"}
        if timecode:
            video.metadata["timecode"] = timecode
        sound = out.add_stream("aac" if path.suffix != ".webm" else "libopus", rate=48_000, layout="stereo")
        text = out.add_stream(subtitles) if subtitles else None
        if text is not None:
            text.time_base = Fraction(1, 1000)
            text.codec_context.subtitle_header = _HEADER
        picture = out.add_stream("mjpeg", rate=1) if cover else None
        if picture is not None:
            picture.width, picture.height, picture.pix_fmt = 64, 64, "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
        if picture is not None:
            out.mux(picture.encode(av.VideoFrame.from_ndarray(np.full((96, 64), 90, np.uint8), format="yuvj420p")))
        for number in range(RATE * SECONDS):
            out.mux(video.encode(av.VideoFrame.from_ndarray(np.roll(noise, 3 * number, 1), format="yuv420p")))
            tone = np.sin(np.arange(number * 1920, (number + 1) * 1920) / 20)
            samples = av.AudioFrame.from_ndarray(np.tile(tone, (2, 1)).astype(np.float32), "fltp", "stereo")
            samples.sample_rate, samples.pts, samples.time_base = 48_000, number * 1920, Fraction(1, 48_000)
            out.mux(sound.encode(samples))
            if text is not None and number in (13, 43):
                out.mux(_line(text, 40 * number, 700, f"line {number}"))
        out.mux(video.encode(None))
        out.mux(sound.encode(None))
    return path


_HEADER = b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name\nStyle: Default\n\n[Events]\nFormat: Text\n"


def _line(stream: av.stream.Stream, start_ms: int, length_ms: int, text: str) -> av.Packet:
    subtitles = SubtitleSet.create(text=f"0,0,Default,,0,0,0,,{text}".encode(), start=0, end=length_ms, pts=start_ms)
    packet = stream.codec_context.encode_subtitle(subtitles)
    packet.stream, packet.time_base = stream, Fraction(1, 1000)
    packet.pts = packet.dts = start_ms
    packet.duration = length_ms
    return packet


def sound_times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return [packet.pts * packet.time_base for packet in container.demux(stream) if packet.size]


@pytest.mark.parametrize("ending", [".mov", ".mp4"])
@pytest.mark.parametrize("timecode", ["01:00:00:00", "10:59:58:24"])
def test_timecode_of_iso_files_is_kept(tmp_path: Path, ending: str, timecode: str) -> None:
    summary = upscale(Job(film(tmp_path / "in.mov", timecode=timecode), tmp_path / f"out{ending}", QUICK))
    assert summary.lost == []
    with av.open(str(tmp_path / f"out{ending}")) as container:
        assert container.streams.video[0].metadata["timecode"] == timecode
        assert len(container.streams.data) == 1
        assert sum(1 for _ in container.decode(video=0)) == RATE * SECONDS


def test_timecode_is_a_tag_in_matroska(tmp_path: Path) -> None:
    upscale(Job(film(tmp_path / "in.mov", timecode="01:02:03:04"), tmp_path / "out.mkv", QUICK))
    with av.open(str(tmp_path / "out.mkv")) as container:
        tags = {key.lower(): value for key, value in container.streams.video[0].metadata.items()}
        assert tags["timecode"] == "01:02:03:04"


def test_cover_that_a_container_cannot_hold_is_named(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", cover=True)
    assert "mjpeg" in " ".join(upscale(Job(source, tmp_path / "out.mov", QUICK)).lost)
    assert upscale(Job(source, tmp_path / "out.mp4", QUICK)).lost == []


@pytest.mark.parametrize(("name", "codec"), [("in.mkv", "ass"), ("in.webm", "webvtt"), ("in.mkv", "subrip")])
def test_text_becomes_timed_text_in_mp4_and_sound_keeps_its_times(tmp_path: Path, name: str, codec: str) -> None:
    source, out = film(tmp_path / name, subtitles=codec), tmp_path / "out.mp4"
    upscale(Job(source, out, QUICK))
    with av.open(str(out)) as container:
        lines = [bytes(packet) for packet in container.demux(subtitles=0) if packet.size > 2]
    assert [line[2:9] for line in lines] == [b"line 13", b"line 43"]
    before, after = sound_times(source), sound_times(out)
    assert len(before) == len(after) > 100
    assert max(abs(one - other) for one, other in zip(before, after, strict=True)) <= Fraction(1, 500)
    assert all(b > a for a, b in itertools.pairwise(after))
