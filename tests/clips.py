"""Generate test videos with PyAV: unusual pixel formats, sizes, timestamps, tracks and metadata."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Disposition
from av.subtitles.stream import SubtitleStream
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

_SAMPLE_RATE_HZ = 48_000


def grey_frames(count: int, size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    """Grey textures as RGB uint8, (height, width, 3); each frame is brighter than the one before."""
    width, height = size
    texture = ((np.add.outer(np.arange(height) // 4, np.arange(width) // 4) % 7) * 4).astype(np.float32)
    texture -= texture.mean()
    for number in range(count):
        level = 60 + 130 * number / max(1, count - 1)
        grey = np.clip(texture + level, 0, 255).astype(np.uint8)
        yield np.repeat(grey[:, :, None], 3, axis=2)


@dataclass(frozen=True, slots=True)
class ClipSpec:
    """Parameters of a generated video."""

    count: int = 10
    size: tuple[int, int] = (160, 90)
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    rate: int = 25
    pts: Sequence[int] | None = None
    """Presentation times in `time_base`; None: evenly spaced."""
    time_base: Fraction | None = None
    rotation: float | None = None
    mirrored: bool = False
    sample_aspect: Fraction | None = None
    colour: tuple[int, int, int, int] | None = None
    """Colour primaries, transfer, matrix and range, as coded in ITU-T H.273."""
    options: Mapping[str, str] | None = None
    container_options: Mapping[str, str] | None = None


def encode_clip(path: Path, spec: ClipSpec) -> Path:
    """Encode and write a video."""
    with av.open(str(path), "w", container_options=dict(spec.container_options or {})) as container:
        stream = add_video(container, spec)
        encode_video(container, stream, spec)
    return path


def encode_long_clip(path: Path, count: int = 300) -> Path:
    """A video of `count` frames at 25 frames per second, with audio."""
    spec = ClipSpec(count=count)
    with av.open(str(path), "w") as container:
        video, audio = add_video(container, spec), add_audio(container)
        encode_video(container, video, spec)
        encode_audio(container, audio, seconds=count / 25)
    return path


def add_video(container: OutputContainer, spec: ClipSpec) -> VideoStream:
    """Add an empty video track."""
    options = dict(spec.options or {})
    if spec.codec == "libx264":
        options = {"preset": "ultrafast", "crf": "12", **options}
    stream = container.add_stream(spec.codec, rate=spec.rate, options=options)
    assert isinstance(stream, VideoStream)
    stream.width, stream.height = spec.size
    stream.pix_fmt = spec.pixel_format
    context = stream.codec_context
    if spec.time_base is not None:
        stream.time_base = context.time_base = spec.time_base
    if spec.sample_aspect is not None:
        context.sample_aspect_ratio = spec.sample_aspect
    if spec.colour is not None:
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = spec.colour
    if spec.rotation is not None:
        stream.set_display_rotation(spec.rotation, hflip=spec.mirrored)
    return stream


def encode_video(container: OutputContainer, stream: VideoStream, spec: ClipSpec) -> None:
    """Encode and write all frames of `spec`."""
    time_base = spec.time_base or Fraction(1, spec.rate)
    times = range(spec.count) if spec.pts is None else spec.pts
    for picture, pts in zip(grey_frames(spec.count, spec.size), times, strict=True):
        frame = VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=spec.pixel_format)
        frame.pts, frame.time_base = pts, time_base
        frame.pict_type = PictureType.NONE
        if spec.colour is not None:
            frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range = spec.colour
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def add_audio(container: OutputContainer, language: str = "und", *, codec: str = "aac") -> AudioStream:
    """Add an empty stereo track."""
    stream = container.add_stream(codec, rate=_SAMPLE_RATE_HZ)
    assert isinstance(stream, AudioStream)
    stream.codec_context.layout = "stereo"
    stream.metadata["language"] = language
    return stream


def encode_audio(
    container: OutputContainer, stream: AudioStream, *, seconds: float, start_s: float = 0.0, pitch_hz: float = 330.0
) -> None:
    """Encode and write a sine tone that starts at `start_s`."""
    total, step = int(seconds * _SAMPLE_RATE_HZ), 1024
    for first in range(0, total, step):
        wave = 0.1 * np.sin(2 * np.pi * pitch_hz * np.arange(first, min(total, first + step)) / _SAMPLE_RATE_HZ)
        frame = AudioFrame.from_ndarray(np.stack([wave, wave]).astype(np.float32), format="fltp", layout="stereo")
        frame.sample_rate, frame.time_base = _SAMPLE_RATE_HZ, Fraction(1, _SAMPLE_RATE_HZ)
        frame.pts = round(start_s * _SAMPLE_RATE_HZ) + first
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def encode_clip_with_cover(path: Path) -> Path:
    """A video with a cover picture that is larger than the video."""
    spec = ClipSpec()
    with av.open(str(path), "w") as container:
        video = add_video(container, spec)
        cover = add_video(container, ClipSpec(codec="mjpeg", pixel_format="yuvj420p", size=(640, 480)))
        cover.disposition = Disposition.attached_pic
        encode_video(container, cover, ClipSpec(count=1, size=(640, 480), pixel_format="yuvj420p"))
        encode_video(container, video, spec)
    return path


def encode_multitrack_clip(folder: Path) -> Path:
    """A Matroska file with two audio tracks, a subtitle track, two chapters and an attached font."""
    (folder / "subtitles.srt").write_text(
        "1\n00:00:00,080 --> 00:00:00,200\nHello.\n\n2\n00:00:00,240 --> 00:00:00,360\nBye.\n\n"
    )
    spec, path = ClipSpec(), folder / "multitrack.mkv"
    with av.open(str(folder / "subtitles.srt")) as subtitles, av.open(str(path), "w") as container:
        video = add_video(container, spec)
        audio_tracks = [add_audio(container, language) for language in ("eng", "deu")]
        text = container.add_stream_from_template(subtitles.streams.subtitles[0])
        assert isinstance(text, SubtitleStream)
        text.metadata["language"] = "fra"
        container.add_attachment("font.ttf", "application/x-truetype-font", b"not really a font" * 20)
        chapters = [(1, 0, 200, "One"), (2, 200, 400, "Two")]
        container.set_chapters(
            [
                {"id": number, "start": start, "end": end, "time_base": Fraction(1, 1000), "metadata": {"title": title}}
                for number, start, end, title in chapters
            ]
        )
        container.metadata["title"] = "Multitrack"
        encode_video(container, video, spec)
        for pitch_hz, audio in zip((330.0, 440.0), audio_tracks, strict=True):
            encode_audio(container, audio, seconds=0.4, pitch_hz=pitch_hz)
        for packet in subtitles.demux():
            if packet.size:
                packet.stream = text
                container.mux(packet)
    return path
