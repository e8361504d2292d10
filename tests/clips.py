"""Odd videos, made to order, and what comes out of a video, read by PyAV alone."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Disposition
from av.subtitles.stream import SubtitleStream
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from deepclarity.cli.app import run

QUICK = ("--speed", "ultrafast", "--none", "--size", "160x90")
"""What keeps a run short where neither the network nor the output's size is the point."""

_SOUND_HZ = 48_000


# What comes out -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Look:
    """What one decoded frame looks like."""

    time_s: Fraction
    size: tuple[int, int]
    brightness: float
    """Mean luma, 0..255 whatever the format."""
    luma_md5: str


def looks(path: Path) -> list[Look]:
    """Every frame that can be decoded, a damaged packet costing no more than itself."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [_look(picture) for picture in _decoded(container.demux(stream))]


def _decoded(packets: Iterator[av.Packet]) -> Iterator[VideoFrame]:
    for packet in packets:
        try:
            yield from packet.decode()  # type: ignore[misc]
        except av.error.FFmpegError:
            continue


def _look(picture: VideoFrame) -> Look:
    moment = picture.pts if picture.pts is not None else picture.dts
    grey = picture.to_ndarray(format="gray")
    plane = bytes(picture.planes[0])
    return Look(
        time_s=Fraction(moment or 0) * (picture.time_base or 0),
        size=(picture.width, picture.height),
        brightness=float(grey.mean()),
        luma_md5=hashlib.md5(plane).hexdigest(),
    )


def times(path: Path) -> list[Fraction]:
    """When each frame is shown, in seconds."""
    return [look.time_s for look in looks(path)]


def sound(path: Path, track: int = 0) -> list[str]:
    """A hash for every packet of an audio track."""
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.audio[track])
        return [hashlib.md5(bytes(packet)).hexdigest() for packet in packets if packet.size]


def assert_same_story(source: Path, target: Path) -> None:
    """Every frame of `source` is in `target`: as many, in order, at its time (within 1 ms in Matroska)."""
    before, after = looks(source), looks(target)
    assert len(after) == len(before)
    tolerance = Fraction(1, 1000) if target.suffix in (".mkv", ".webm") else 0
    assert [
        b.time_s - a.time_s for a, b in zip(before, after, strict=True) if abs(b.time_s - a.time_s) > tolerance
    ] == []
    moved = [
        number for number, (a, b) in enumerate(zip(before, after, strict=True)) if abs(a.brightness - b.brightness) > 5
    ]
    assert moved == []


# Running --------------------------------------------------------------------------------------------------------------


def upscale(source: Path, target: Path, *options: str) -> int:
    """`deepclarity upscale` in this process, fast; its exit code."""
    return run(["upscale", str(source), "-o", str(target), "--speed", "ultrafast", *options])


def refused(capfd: pytest.CaptureFixture[str], folder: Path, *arguments: str | Path, code: int = 2) -> str:
    """The one line that a command is refused with; `folder` is left exactly as it was."""
    before = _contents(folder)
    capfd.readouterr()
    assert run([str(argument) for argument in arguments]) == code
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.startswith("deepclarity: ")
    assert said.err.count("\n") == 1
    assert said.err.endswith("\n")
    assert _contents(folder) == before
    return said.err


def _contents(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if not path.is_dir()
    }


def start(*arguments: str | Path) -> subprocess.Popen[bytes]:
    """`deepclarity` in a process of its own, which Ctrl-C reaches even where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "deepclarity", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    finally:
        signal.signal(signal.SIGINT, before)


def wait_until_grown(path: Path, least_bytes: int, process: subprocess.Popen[bytes], *, limit_s: float = 60) -> None:
    """Wait for `path` to hold `least_bytes` while `process` is still at work on it."""
    deadline = time.monotonic() + limit_s
    while _size(path) < least_bytes:
        assert process.poll() is None, f"ended too soon: {process.communicate()}"
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


# Making ---------------------------------------------------------------------------------------------------------------


def pictures(count: int, size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    """Grey textures, RGB; each frame is brighter than the one before, so that it can be told apart."""
    width, height = size
    texture = ((np.add.outer(np.arange(height) // 4, np.arange(width) // 4) % 7) * 4).astype(np.float32)
    texture -= texture.mean()
    for number in range(count):
        level = 60 + 130 * number / max(1, count - 1)
        grey = np.clip(texture + level, 0, 255).astype(np.uint8)
        yield np.repeat(grey[:, :, None], 3, axis=2)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an odd video is made. What is not said is as usual."""

    count: int = 10
    size: tuple[int, int] = (160, 90)
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    rate: int = 25
    moments: Sequence[int] | None = None
    """Presentation times in `time_base`; evenly spaced without."""
    time_base: Fraction | None = None
    rotation: float | None = None
    mirrored: bool = False
    sample_aspect: Fraction | None = None
    colour: tuple[int, int, int, int] | None = None
    """Primaries, transfer, matrix, range as in H.273."""
    options: Mapping[str, str] | None = None
    container_options: Mapping[str, str] | None = None


def make(path: Path, recipe: Recipe) -> Path:
    """Write a video by `recipe`."""
    with av.open(str(path), "w", container_options=dict(recipe.container_options or {})) as container:
        stream = add_video(container, recipe)
        encode_video(container, stream, recipe)
    return path


def add_video(container: OutputContainer, recipe: Recipe) -> VideoStream:
    """The video track of `recipe`, still empty."""
    options = dict(recipe.options or {})
    if recipe.codec == "libx264":
        options = {"preset": "ultrafast", "crf": "12", **options}
    stream = container.add_stream(recipe.codec, rate=recipe.rate, options=options)
    assert isinstance(stream, VideoStream)
    stream.width, stream.height = recipe.size
    stream.pix_fmt = recipe.pixel_format
    context = stream.codec_context
    if recipe.time_base is not None:
        stream.time_base = context.time_base = recipe.time_base
    if recipe.sample_aspect is not None:
        context.sample_aspect_ratio = recipe.sample_aspect
    if recipe.colour is not None:
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = recipe.colour
    if recipe.rotation is not None:
        stream.set_display_rotation(recipe.rotation, hflip=recipe.mirrored)
    return stream


def encode_video(container: OutputContainer, stream: VideoStream, recipe: Recipe) -> None:
    """All pictures of `recipe`, encoded and written."""
    time_base = recipe.time_base or Fraction(1, recipe.rate)
    moments = range(recipe.count) if recipe.moments is None else recipe.moments
    for picture, moment in zip(pictures(recipe.count, recipe.size), moments, strict=True):
        frame = VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=recipe.pixel_format)
        frame.pts, frame.time_base = moment, time_base
        frame.pict_type = PictureType.NONE
        if recipe.colour is not None:
            frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range = recipe.colour
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def add_sound(container: OutputContainer, language: str = "und") -> AudioStream:
    """An AAC track, still empty."""
    stream = container.add_stream("aac", rate=_SOUND_HZ)
    assert isinstance(stream, AudioStream)
    stream.codec_context.layout = "stereo"
    stream.metadata["language"] = language
    return stream


def encode_sound(
    container: OutputContainer, stream: AudioStream, *, seconds: float, start_s: float = 0.0, pitch_hz: float = 330.0
) -> None:
    """A tone, beginning at `start_s`."""
    total, step = int(seconds * _SOUND_HZ), 1024
    for first in range(0, total, step):
        wave = 0.1 * np.sin(2 * np.pi * pitch_hz * np.arange(first, min(total, first + step)) / _SOUND_HZ)
        frame = AudioFrame.from_ndarray(np.stack([wave, wave]).astype(np.float32), format="fltp", layout="stereo")
        frame.sample_rate, frame.time_base = _SOUND_HZ, Fraction(1, _SOUND_HZ)
        frame.pts = round(start_s * _SOUND_HZ) + first
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def make_covered(path: Path) -> Path:
    """A video with a cover picture larger than itself."""
    recipe = Recipe()
    with av.open(str(path), "w") as container:
        video = add_video(container, recipe)
        cover = add_video(container, Recipe(codec="mjpeg", pixel_format="yuvj420p", size=(640, 480)))
        cover.disposition = Disposition.attached_pic
        encode_video(container, cover, Recipe(count=1, size=(640, 480), pixel_format="yuvj420p"))
        encode_video(container, video, recipe)
    return path


def make_crowded(folder: Path) -> Path:
    """A Matroska film with two languages, a subtitle, two chapters and an attached font."""
    (folder / "words.srt").write_text(
        "1\n00:00:00,080 --> 00:00:00,200\nHello.\n\n2\n00:00:00,240 --> 00:00:00,360\nBye.\n\n"
    )
    recipe, path = Recipe(), folder / "crowded.mkv"
    with av.open(str(folder / "words.srt")) as words, av.open(str(path), "w") as container:
        video = add_video(container, recipe)
        voices = [add_sound(container, language) for language in ("eng", "deu")]
        text = container.add_stream_from_template(words.streams.subtitles[0])
        assert isinstance(text, SubtitleStream)
        text.metadata["language"] = "fra"
        container.add_attachment("font.ttf", "application/x-truetype-font", b"not really a font" * 20)
        marks = [(1, 0, 200, "One"), (2, 200, 400, "Two")]
        container.set_chapters(
            [
                {"id": number, "start": begin, "end": end, "time_base": Fraction(1, 1000), "metadata": {"title": title}}
                for number, begin, end, title in marks
            ]
        )
        container.metadata["title"] = "Crowded"
        encode_video(container, video, recipe)
        for pitch_hz, voice in zip((330.0, 440.0), voices, strict=True):
            encode_sound(container, voice, seconds=0.4, pitch_hz=pitch_hz)
        for packet in words.demux():
            if packet.size:
                packet.stream = text
                container.mux(packet)
    return path
