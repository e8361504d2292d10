"""The process behind `Viewer`: `python -m tests.rtsp.viewer_process`, what to play through standard input."""

from __future__ import annotations

import os
import queue
import time

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame

from tests.rtsp.frame_numbers import read_number
from tests.rtsp.helper_process import News, follow_orders, notify

_AGAIN_S = 0.1
_SOON = {"fflags": "nobuffer", "probesize": "100000", "analyzeduration": "300000", "max_delay": "200000"}


def main() -> None:
    """Play one stream to its end."""
    ordered: queue.SimpleQueue[News] = queue.SimpleQueue()
    follow_orders(lambda order, _: ordered.put(order))
    order = ordered.get()
    try:
        with _opened(order) as container:
            _watch(container)
    except (av.error.FFmpegError, OSError, IndexError) as error:
        notify(error=_said(error))
    notify(ended=True)
    os._exit(0)


def _opened(order: News) -> InputContainer:
    options = _SOON | {"timeout": str(round(order["timeout_s"] * 1e6))}
    if order["format"] == "rtsp":
        options["rtsp_transport"] = order["transport"]
    deadline = time.monotonic() + order["patience_s"]
    while True:
        try:
            return av.open(order["url"], format=order["format"], options=options)
        except (av.error.FFmpegError, OSError) as error:
            if time.monotonic() > deadline:
                raise
            notify(error=_said(error))
            time.sleep(_AGAIN_S)


def _watch(container: InputContainer) -> None:
    video = container.streams.video[0]
    sound = next((stream.codec_context.name for stream in container.streams.audio), None)
    video.codec_context.thread_type, video.codec_context.thread_count = "SLICE", 1
    notify(codec=video.codec_context.name, sound=sound)
    for packet in container.demux(video):
        try:
            pictures = packet.decode()
        except av.error.FFmpegError as error:
            notify(error=_said(error))
            continue
        for picture in pictures:
            assert isinstance(picture, VideoFrame)
            _report(picture)


def _report(picture: VideoFrame) -> None:
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


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {getattr(error, 'strerror', error)}"


if __name__ == "__main__":
    main()
