"""The process that writes to an RTSP server: messages from the parent, packets into FFmpeg.

`python -m deepclarity.stream.publish`; what to open comes through standard input as `{"kind": "open", …}` with a
sample of the streams in a NUT file. It answers `connected`, then a `written` for every picture, or `failed`. At the
end of its input, or after `finish`, it takes its leave of the server (TEARDOWN).
"""

from __future__ import annotations

import contextlib
import io
import sys
import time
from typing import Any

import av
from av.container import OutputContainer
from av.packet import Packet

from . import wire
from .child import dead_man, left_alone
from .live_picture import TIME_BASE
from .packets import AnyPacket
from .pull import reason_of

_OPEN_S, _WRITE_S, _LEAVE_S = 15.0, 10.0, 4.0
_INTERLEAVE_US = "60000"  # FFmpeg would wait ten seconds for a track that has gone silent


def main() -> None:
    """Publish until the parent ends it."""
    left_alone()
    inbox, tell = wire.Inbox(sys.stdin.fileno()), sys.stdout.fileno()
    order = inbox.take()
    if order is None:
        return
    try:
        dead_man(_OPEN_S)
        _publish(order, inbox, tell)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        with contextlib.suppress(BrokenPipeError):
            wire.send(tell, wire.Message("failed", {"reason": reason_of(error)}))


def _publish(order: wire.Message, inbox: wire.Inbox, tell: int) -> None:
    sample = av.open(io.BytesIO(order.data), "r", format="nut")
    container = _opened(order.body)
    with contextlib.ExitStack() as leaving:
        leaving.callback(_leave, container)
        tracks = [container.add_stream_from_template(stream, opaque=True) for stream in sample.streams]
        for track in tracks:
            track.time_base = TIME_BASE
        container.start_encoding()  # connects
        dead_man(0)
        wire.send(tell, wire.Message("connected"))
        while (message := inbox.take()) is not None and message.kind == "packet":
            dead_man(_WRITE_S)
            container.mux_one(_packet(message, tracks))
            dead_man(0)
            if message.body["track"] == "video":
                wire.send(tell, wire.Message("written", {"at": time.monotonic(), "arrived": message.body["arrived"]}))


def _leave(container: OutputContainer) -> None:
    """TEARDOWN, where the server still listens: why we leave is told already."""
    dead_man(_LEAVE_S)
    with contextlib.suppress(av.error.FFmpegError, OSError):
        container.close()


def _opened(order: dict[str, Any]) -> OutputContainer:
    options = {**order["options"], "max_interleave_delta": _INTERLEAVE_US}
    return av.open(order["url"], "w", format=order["format"], container_options=options)


def _packet(message: wire.Message, tracks: list[Any]) -> AnyPacket:
    body = message.body
    packet: AnyPacket = Packet(message.data)
    packet.pts = packet.dts = body["pts"]
    packet.time_base = TIME_BASE
    packet.is_keyframe = body["key"]
    packet.stream = next(track for track in tracks if track.type == body["track"])
    return packet


if __name__ == "__main__":
    main()
