"""The process behind `Publisher`: `python -m tests.rtsp.publisher_process`, commands through standard input."""

from __future__ import annotations

import itertools
import os
import queue
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import TypeAlias

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from tests.rtsp.frame_numbers import write_number
from tests.rtsp.helper_process import Message, handle_commands, notify

_CLOCK_HZ = 90_000
_AUDIO_HZ, _AUDIO_FRAME_SAMPLES = 48_000, 1024
_MAX_LAG_S = 0.5
"""If it falls this far behind, all late pictures are skipped: a camera has no backlog."""
_RETRY_S = 0.2
_TIME_BASE = Fraction(1, _CLOCK_HZ)


class Clip:
    """A command of the test with its pictures."""

    def __init__(self, command: Message, payload: bytes) -> None:
        self.command = command
        self.codec: str = command["codec"]
        width, height = command["size"]
        self.pictures = np.frombuffer(payload, np.uint8).reshape(command["count"], height * 3 // 2, width)

    def picture(self, number: int) -> VideoFrame:
        """The picture with its number drawn."""
        _, height = self.command["size"]
        planes = self.pictures[number % len(self.pictures)].copy()
        write_number(planes[:height], number)
        return VideoFrame.from_ndarray(planes, format="yuv420p")

    def configure(self, context: VideoCodecContext) -> None:
        """Configure an encoder for it."""
        command = self.command
        context.width, context.height = command["size"]
        context.pix_fmt = "yuv420p"
        context.framerate, context.time_base = Fraction(command["announced_rate"]), _TIME_BASE
        context.gop_size, context.max_b_frames = command["gop"], 0
        context.options = _options(self.codec, command["gop"]) | command["options"]


Clips: TypeAlias = "queue.SimpleQueue[Clip | None]"
"""Pending commands; None means the end."""


def _options(codec: str, gop: int) -> dict[str, str]:
    """Fast, without delay, with parameter sets before every key frame."""
    fast = {"preset": "ultrafast", "tune": "zerolatency"}
    if codec == "libx264":
        params = f"repeat-headers=1:keyint={gop}:min-keyint={gop}:scenecut=0:sliced-threads=0:threads=1"
        return fast | {"x264-params": params}
    if codec == "libx265":
        params = f"repeat-headers=1:keyint={gop}:min-keyint={gop}:scenecut=0:pools=none:frame-threads=1:log-level=none"
        return fast | {"x265-params": params}
    return {}


class Session:
    """An RTSP session, from ANNOUNCE to TEARDOWN."""

    def __init__(self, clip: Clip) -> None:
        url = clip.command["url"]
        options = {"rtsp_transport": "tcp", "timeout": "5000000", "max_interleave_delta": "1"}
        self._container: OutputContainer = av.open(url, "w", format="rtsp", options=options)
        stream = self._container.add_stream(clip.codec, rate=clip.command["announced_rate"])
        assert isinstance(stream, VideoStream)
        self._video, self._encoder = stream, stream.codec_context
        clip.configure(stream.codec_context)
        self._audio: AudioStream | None = self._add_audio() if clip.command["with_audio"] else None
        self._samples = 0
        """Audio samples sent so far."""
        self._container.start_encoding()

    def switch_to(self, clip: Clip) -> None:
        """Continue with other pictures in the same session."""
        context = av.CodecContext.create(clip.codec, "w")
        assert isinstance(context, VideoCodecContext)
        clip.configure(context)
        self._encoder = context

    def send(self, picture: VideoFrame, after: Fraction) -> None:
        """Send the picture due `after` seconds from the first, and the audio up to it."""
        picture.pts, picture.time_base = round(after * _CLOCK_HZ), _TIME_BASE
        for packet in self._encoder.encode(picture):
            packet.stream = self._video
            packet.time_base = _TIME_BASE
            self._container.mux(packet)
        while self._audio is not None and self._samples < after * _AUDIO_HZ:
            self._container.mux(self._audio.encode(self._next_audio_frame()))

    def close(self) -> None:
        """Close the session."""
        self._container.close()

    def _add_audio(self) -> AudioStream:
        stream = self._container.add_stream("aac", rate=_AUDIO_HZ)
        assert isinstance(stream, AudioStream)
        stream.codec_context.layout = "stereo"
        return stream

    def _next_audio_frame(self) -> AudioFrame:
        wave = 0.1 * np.sin(
            2 * np.pi * 330 * np.arange(self._samples, self._samples + _AUDIO_FRAME_SAMPLES) / _AUDIO_HZ
        )
        frame = AudioFrame.from_ndarray(np.stack([wave, wave]).astype(np.float32), format="fltp", layout="stereo")
        frame.sample_rate, frame.time_base, frame.pts = _AUDIO_HZ, Fraction(1, _AUDIO_HZ), self._samples
        self._samples += _AUDIO_FRAME_SAMPLES
        return frame


def main() -> None:
    """Publish as commanded until the test stops it."""
    clips: Clips = queue.SimpleQueue()
    handle_commands(lambda command, payload: clips.put(None if "stop" in command else Clip(command, payload)))
    clip = clips.get()
    numbers = itertools.count()
    while clip is not None:
        try:
            clip = _publish(clip, clips, numbers)
        except (av.error.FFmpegError, OSError) as error:
            notify(error=f"{type(error).__name__}: {getattr(error, 'strerror', '')}")
            time.sleep(_RETRY_S)
            clip = _latest(clip, clips)
    os._exit(0)  # FFmpeg may be waiting for a dead server


def _publish(clip: Clip, clips: Clips, numbers: Iterator[int]) -> Clip | None:
    """Run one session; returns what the next one must show, None to stop."""
    session = Session(clip)
    notify(opened=clip.command["size"])
    period = 1 / Fraction(clip.command["rate"]).limit_denominator(1000)
    started, count = time.monotonic(), 0
    try:
        while True:
            new = _latest(clip, clips)
            if new is not clip:
                if new is None or new.command["new_session"]:
                    return new
                session.switch_to(new)
                clip = new
            lag_s = time.monotonic() - started - float(count * period)
            time.sleep(max(0.0, -lag_s))
            for _ in range(int(lag_s / period) if lag_s > _MAX_LAG_S else 0):
                next(numbers)
                count += 1
            number = next(numbers)
            session.send(clip.picture(number), count * period)
            notify(sent=number, at=time.monotonic())
            count += 1
    finally:
        session.close()


def _latest(clip: Clip | None, clips: Clips) -> Clip | None:
    """The newest command, or the current one."""
    while not clips.empty():
        clip = clips.get()
    return clip


if __name__ == "__main__":
    main()
