"""The process behind `Viewer`: `python -m tests.rtsp.viewer_process`, the request through standard input."""

from __future__ import annotations

import os
import queue
import time

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame

from tests.rtsp.frame_numbers import read_number
from tests.rtsp.helper_process import Message, handle_commands, notify

_RETRY_S = 0.1
_LOW_LATENCY = {"fflags": "nobuffer", "probesize": "100000", "analyzeduration": "300000", "max_delay": "200000"}


def main() -> None:
    """Play one stream to its end."""
    commands: queue.SimpleQueue[Message] = queue.SimpleQueue()
    handle_commands(lambda command, _: commands.put(command))
    command = commands.get()
    try:
        with _open(command) as container:
            _watch(container)
    except (av.error.FFmpegError, OSError, IndexError) as error:
        notify(error=_error_text(error))
    notify(ended=True)
    os._exit(0)


def _open(command: Message) -> InputContainer:
    options = _LOW_LATENCY | {"timeout": str(round(command["timeout_s"] * 1e6))}
    if command["format"] == "rtsp":
        options["rtsp_transport"] = command["transport"]
    deadline = time.monotonic() + command["open_timeout_s"]
    while True:
        try:
            return av.open(command["url"], format=command["format"], options=options)
        except (av.error.FFmpegError, OSError) as error:
            if time.monotonic() > deadline:
                raise
            notify(error=_error_text(error))
            time.sleep(_RETRY_S)


def _watch(container: InputContainer) -> None:
    video = container.streams.video[0]
    audio_codec = next((stream.codec_context.name for stream in container.streams.audio), None)
    video.codec_context.thread_type, video.codec_context.thread_count = "SLICE", 1
    notify(codec=video.codec_context.name, audio_codec=audio_codec)
    for packet in container.demux(video):
        try:
            pictures = packet.decode()
        except av.error.FFmpegError as error:
            notify(error=_error_text(error))
            continue
        for picture in pictures:
            assert isinstance(picture, VideoFrame)
            _report_frame(picture)


def _report_frame(picture: VideoFrame) -> None:
    plane = picture.planes[0]
    luma = np.frombuffer(plane, np.uint8).reshape(picture.height, plane.line_size)[:, : picture.width]
    notify(
        pts_s=None if picture.pts is None or picture.time_base is None else float(picture.pts * picture.time_base),
        at=time.monotonic(),
        width=picture.width,
        height=picture.height,
        keyframe=bool(picture.key_frame),
        number=read_number(luma),
        brightness=float(luma.mean()),
    )


def _error_text(error: Exception) -> str:
    return f"{type(error).__name__}: {getattr(error, 'strerror', error)}"


if __name__ == "__main__":
    main()
