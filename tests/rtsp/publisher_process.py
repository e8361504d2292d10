"""The process behind `Publisher`: `python -m tests.rtsp.publisher_process`, orders through standard input."""

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
from tests.rtsp.helper_process import News, follow_orders, notify

_CLOCK_HZ = 90_000
_SOUND_HZ, _SOUND_STEP = 48_000, 1024
_BEHIND_S = 0.5
"""From so far behind, all pictures that are late are left out: a camera has no past."""
_AGAIN_S = 0.2
_TIME_BASE = Fraction(1, _CLOCK_HZ)


class Script:
    """What to show: the latest order, and the pictures that came with it."""

    def __init__(self, order: News, payload: bytes) -> None:
        self.order = order
        self.codec: str = order["codec"]
        width, height = order["size"]
        self.pictures = np.frombuffer(payload, np.uint8).reshape(order["count"], height * 3 // 2, width)

    def picture(self, number: int) -> VideoFrame:
        """The numbered picture."""
        _, height = self.order["size"]
        planes = self.pictures[number % len(self.pictures)].copy()
        write_number(planes[:height], number)
        return VideoFrame.from_ndarray(planes, format="yuv420p")

    def set_up(self, context: VideoCodecContext) -> None:
        """Prepare an encoder for it."""
        order = self.order
        context.width, context.height = order["size"]
        context.pix_fmt = "yuv420p"
        context.framerate, context.time_base = Fraction(order["announced_rate"]), _TIME_BASE
        context.gop_size, context.max_b_frames = order["gop"], 0
        context.options = _options(self.codec, order["gop"]) | order["options"]


Scripts: TypeAlias = "queue.SimpleQueue[Script | None]"
"""What has been ordered and not been looked at; None for the end."""


def _options(codec: str, gop: int) -> dict[str, str]:
    """Quick, without delay, and with the parameter sets before every keyframe."""
    quick = {"preset": "ultrafast", "tune": "zerolatency"}
    if codec == "libx264":
        params = f"repeat-headers=1:keyint={gop}:min-keyint={gop}:scenecut=0:sliced-threads=0:threads=1"
        return quick | {"x264-params": params}
    if codec == "libx265":
        params = f"repeat-headers=1:keyint={gop}:min-keyint={gop}:scenecut=0:pools=none:frame-threads=1:log-level=none"
        return quick | {"x265-params": params}
    return {}


class Session:
    """From ANNOUNCE to TEARDOWN."""

    def __init__(self, script: Script) -> None:
        url = script.order["url"]
        options = {"rtsp_transport": "tcp", "timeout": "5000000", "max_interleave_delta": "1"}
        self._container: OutputContainer = av.open(url, "w", format="rtsp", options=options)
        stream = self._container.add_stream(script.codec, rate=script.order["announced_rate"])
        assert isinstance(stream, VideoStream)
        self._video, self._encoder = stream, stream.codec_context
        script.set_up(stream.codec_context)
        self._sound: AudioStream | None = self._add_sound() if script.order["tone"] else None
        self._samples = 0
        """How much sound has been sent."""
        self._container.start_encoding()

    def show(self, script: Script) -> None:
        """Go on with pictures of another kind in the same session."""
        context = av.CodecContext.create(script.codec, "w")
        assert isinstance(context, VideoCodecContext)
        script.set_up(context)
        self._encoder = context

    def send(self, picture: VideoFrame, after: Fraction) -> None:
        """Send a picture, `after` seconds from the first, and the sound up to it."""
        picture.pts, picture.time_base = round(after * _CLOCK_HZ), _TIME_BASE
        for packet in self._encoder.encode(picture):
            packet.stream = self._video
            packet.time_base = _TIME_BASE
            self._container.mux(packet)
        while self._sound is not None and self._samples < after * _SOUND_HZ:
            self._container.mux(self._sound.encode(self._tone()))

    def close(self) -> None:
        """Say goodbye."""
        self._container.close()

    def _add_sound(self) -> AudioStream:
        stream = self._container.add_stream("aac", rate=_SOUND_HZ)
        assert isinstance(stream, AudioStream)
        stream.codec_context.layout = "stereo"
        return stream

    def _tone(self) -> AudioFrame:
        wave = 0.1 * np.sin(2 * np.pi * 330 * np.arange(self._samples, self._samples + _SOUND_STEP) / _SOUND_HZ)
        frame = AudioFrame.from_ndarray(np.stack([wave, wave]).astype(np.float32), format="fltp", layout="stereo")
        frame.sample_rate, frame.time_base, frame.pts = _SOUND_HZ, Fraction(1, _SOUND_HZ), self._samples
        self._samples += _SOUND_STEP
        return frame


def main() -> None:
    """Publish what is ordered until the test says stop."""
    scripts: Scripts = queue.SimpleQueue()
    follow_orders(lambda order, payload: scripts.put(None if "stop" in order else Script(order, payload)))
    script = scripts.get()
    numbers = itertools.count()
    while script is not None:
        try:
            script = _publish(script, scripts, numbers)
        except (av.error.FFmpegError, OSError) as error:
            notify(error=f"{type(error).__name__}: {getattr(error, 'strerror', '')}")
            time.sleep(_AGAIN_S)
            script = _latest(script, scripts)
    os._exit(0)  # FFmpeg may be waiting for a dead server


def _publish(script: Script, scripts: Scripts, numbers: Iterator[int]) -> Script | None:
    """One session; returns what the next one is to show, None for no more."""
    session = Session(script)
    notify(opened=script.order["size"])
    period = 1 / Fraction(script.order["rate"]).limit_denominator(1000)
    begun, count = time.monotonic(), 0
    try:
        while True:
            new = _latest(script, scripts)
            if new is not script:
                if new is None or new.order["new_session"]:
                    return new
                session.show(new)
                script = new
            late = time.monotonic() - begun - float(count * period)
            time.sleep(max(0.0, -late))
            for _ in range(int(late / period) if late > _BEHIND_S else 0):
                next(numbers)
                count += 1
            number = next(numbers)
            session.send(script.picture(number), count * period)
            notify(sent=number, at=time.monotonic())
            count += 1
    finally:
        session.close()


def _latest(script: Script | None, scripts: Scripts) -> Script | None:
    """The newest order, or the one that is being followed."""
    while not scripts.empty():
        script = scripts.get()
    return script


if __name__ == "__main__":
    main()
