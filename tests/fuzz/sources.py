"""One small intact video for each container, with sound where the container has any."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

_SIZE, _FRAMES, _RATE = (96, 64), 24, 25
_SAMPLE_RATE_HZ = 48_000


@dataclass(frozen=True, slots=True)
class Coding:
    """Codecs of a container."""

    video: str
    audio: str | None
    pixel_format: str = "yuv420p"


CONTAINERS = {
    "mp4": Coding("libx264", "aac"),
    "mov": Coding("mpeg4", "pcm_s16le"),
    "mkv": Coding("libx264", "flac"),
    "webm": Coding("libvpx-vp9", "libopus"),
    "ts": Coding("libx264", "aac"),
    "flv": Coding("libx264", "aac"),
    "avi": Coding("mpeg4", "libmp3lame"),
    "mpg": Coding("mpeg2video", "mp2"),
    "gif": Coding("gif", None, "rgb8"),
}


def write_source(folder: Path, container: str) -> Path:
    """Write the video of a container to `folder`."""
    coding, path = CONTAINERS[container], folder / f"source.{container}"
    with av.open(str(path), "w") as output:
        video = output.add_stream(coding.video, rate=_RATE, options=_options(coding.video))
        assert isinstance(video, VideoStream)
        video.width, video.height = _SIZE
        video.pix_fmt = coding.pixel_format
        video.codec_context.gop_size = 8
        audio = None
        if coding.audio is not None:
            audio = output.add_stream(coding.audio, rate=_SAMPLE_RATE_HZ)
            assert isinstance(audio, AudioStream)
            audio.codec_context.layout = "stereo"
        for number in range(_FRAMES):
            frame = VideoFrame.from_ndarray(_picture(number), format="rgb24").reformat(format=coding.pixel_format)
            frame.pts, frame.time_base = number, Fraction(1, _RATE)
            output.mux(video.encode(frame))
            if audio is not None:
                _encode_tone(output, audio, number)
        for stream in (video, audio):
            if stream is not None:
                output.mux(stream.encode(None))
    return path


def _options(codec: str) -> dict[str, str]:
    return {
        "libx264": {"preset": "veryfast", "crf": "22", "bf": "2"},
        "mpeg4": {"bf": "2"},
        "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
    }.get(codec, {})


def _picture(number: int) -> np.ndarray:
    """A drifting texture, pixelated in its second half: RGB uint8, (height, width, 3)."""
    y, x = np.mgrid[0 : _SIZE[1], 0 : _SIZE[0]]
    if number >= _FRAMES // 2:
        y, x = y // 4 * 4, x // 4 * 4
    waves = [np.sin((x * k + y * (4 - k) + 3 * number) / 5) * 100 + 120 for k in (1, 2, 3)]
    return np.stack(waves, axis=2).astype(np.uint8)


def _encode_tone(output: OutputContainer, audio: AudioStream, number: int) -> None:
    count = _SAMPLE_RATE_HZ // _RATE
    times = (number * count + np.arange(count)) / _SAMPLE_RATE_HZ
    wave = (np.sin(2 * np.pi * 440 * times) * 6000).astype(np.int16)
    frame = AudioFrame.from_ndarray(np.repeat(wave, 2)[None], format="s16", layout="stereo")
    frame.sample_rate, frame.time_base, frame.pts = _SAMPLE_RATE_HZ, Fraction(1, _SAMPLE_RATE_HZ), number * count
    output.mux(audio.encode(frame))
