"""Writes a short H.264 clip from RGB pictures, for the demo and for tests."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream
from numpy.typing import NDArray

from deepclarity.stream import errors

_SAMPLE_RATE_HZ = 48_000


def write_clip(
    path: Path,
    pictures: Iterable[NDArray[np.uint8]],
    *,
    rate: int = 25,
    crf: int = 20,
    tone_hz: float | None = None,
    speed: str = "veryfast",
) -> int:
    """Encode RGB `pictures`, uint8 (height, width, 3) with even sides, as H.264 in BT.709; returns their count.

    `tone_hz` adds a stereo AAC track with a soft sine tone of that frequency. `speed` is an x264 preset.
    Raises OutputError if the file cannot be written.
    """
    count = 0
    try:
        with av.open(str(path), "w") as container:
            video, audio = None, None
            for picture in pictures:
                if video is None:
                    video = _add_video(container, picture.shape, rate=rate, crf=crf, speed=speed)
                    audio = _add_audio(container) if tone_hz else None
                frame = VideoFrame.from_ndarray(picture, format="rgb24")
                frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
                frame.pts, frame.time_base = count, Fraction(1, rate)
                container.mux(video.encode(frame))
                if audio is not None and tone_hz:
                    container.mux(audio.encode(_tone(tone_hz, count, rate)))
                count += 1
            for stream in (video, audio):
                if stream is not None:
                    container.mux(stream.encode(None))
    except (av.error.FFmpegError, OSError) as error:
        raise errors.write_failed(error, path) from error
    return count


def _add_video(container: OutputContainer, shape: tuple[int, ...], *, rate: int, crf: int, speed: str) -> VideoStream:
    stream = container.add_stream("libx264", rate=rate, options={"crf": str(crf), "preset": speed})
    assert isinstance(stream, VideoStream)
    stream.height, stream.width, stream.pix_fmt = shape[0], shape[1], "yuv420p"
    context = stream.codec_context
    context.color_primaries = context.color_trc = context.colorspace = 1
    context.color_range = 1
    return stream


def _add_audio(container: OutputContainer) -> AudioStream:
    stream = container.add_stream("aac", rate=_SAMPLE_RATE_HZ)
    assert isinstance(stream, AudioStream)
    stream.codec_context.layout = "stereo"
    return stream


def _tone(frequency_hz: float, number: int, rate: int) -> AudioFrame:
    """The audio of video frame `number`."""
    first, last = number * _SAMPLE_RATE_HZ // rate, (number + 1) * _SAMPLE_RATE_HZ // rate
    wave = 0.1 * np.sin(2 * np.pi * frequency_hz * np.arange(first, last) / _SAMPLE_RATE_HZ)
    frame = AudioFrame.from_ndarray(np.stack([wave, wave]).astype(np.float32), format="fltp", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = _SAMPLE_RATE_HZ, first, Fraction(1, _SAMPLE_RATE_HZ)
    return frame
