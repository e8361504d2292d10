"""Child process that publishes to an RTSP server: receives packets from the parent and muxes them with FFmpeg.

Run as `python -m deepclarity.stream.rtsp.writer_process`. It receives `{"kind": "open", …}` on standard input with the
streams' parameters as a NUT file. It answers `connected`, then `written` for every frame, or `failed`. At the end of
its input, or after `finish`, it closes the session with the server (TEARDOWN).
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

from deepclarity.stream.packets import RTP_TIME_BASE, AnyPacket

from . import ipc
from .reader_process import reason_of
from .subprocess import arm_watchdog, ignore_signals

_OPEN_S, _WRITE_S, _LEAVE_S = 15.0, 10.0, 4.0
_INTERLEAVE_US = "60000"  # by default FFmpeg waits ten seconds for a silent track


def main() -> None:
    """Publish until the parent ends it."""
    ignore_signals()
    inbox, notify = ipc.Inbox(sys.stdin.fileno()), sys.stdout.fileno()
    order = inbox.receive()
    if order is None:
        return
    try:
        arm_watchdog(_OPEN_S)
        _publish(order, inbox, notify)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        with contextlib.suppress(BrokenPipeError):
            ipc.send(notify, ipc.Message("failed", {"reason": reason_of(error)}))


def _publish(order: ipc.Message, inbox: ipc.Inbox, notify: int) -> None:
    sample = av.open(io.BytesIO(order.data), "r", format="nut")
    container = _opened(order.fields)
    with contextlib.ExitStack() as leaving:
        leaving.callback(_leave, container)
        tracks = [container.add_stream_from_template(stream, opaque=True) for stream in sample.streams]
        for track in tracks:
            track.time_base = RTP_TIME_BASE
        container.start_encoding()  # connects
        arm_watchdog(0)
        ipc.send(notify, ipc.Message("connected"))
        while (message := inbox.receive()) is not None and message.kind == "packet":
            arm_watchdog(_WRITE_S)
            container.mux_one(_packet(message, tracks))
            arm_watchdog(0)
            if message.fields["track"] == "video":
                ipc.send(notify, ipc.Message("written", {"at": time.monotonic(), "arrived": message.fields["arrived"]}))


def _leave(container: OutputContainer) -> None:
    """Send TEARDOWN if the server still responds; the reason has been reported already."""
    arm_watchdog(_LEAVE_S)
    with contextlib.suppress(av.error.FFmpegError, OSError):
        container.close()


def _opened(order: dict[str, Any]) -> OutputContainer:
    options = {**order["options"], "max_interleave_delta": _INTERLEAVE_US}
    return av.open(order["url"], "w", format=order["format"], container_options=options)


def _packet(message: ipc.Message, tracks: list[Any]) -> AnyPacket:
    fields = message.fields
    packet: AnyPacket = Packet(message.data)
    packet.pts = packet.dts = fields["pts"]
    packet.time_base = RTP_TIME_BASE
    packet.is_keyframe = fields["key"]
    packet.stream = next(track for track in tracks if track.type == fields["track"])
    return packet


if __name__ == "__main__":
    main()
