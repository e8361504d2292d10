"""Child process that publishes to an RTSP server: muxes the packets that the parent sends, with FFmpeg.

Run as `python -m deepclarity.stream.rtsp.writer_process`. It receives `{"kind": "open", …}` on standard input, with the
streams' parameters as a NUT file, and answers `connected`, then `written` for every frame, or `failed`. At the end of
its input it closes the session (TEARDOWN).
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
from .tls import check_certificate

_OPEN_TIMEOUT_S, _WRITE_TIMEOUT_S, _CLOSE_TIMEOUT_S = 15.0, 10.0, 4.0
_MAX_INTERLEAVE_US = "60000"  # by default FFmpeg waits ten seconds for a silent track


def main() -> None:
    """Publish until the parent closes the pipe."""
    ignore_signals()
    inbox, output = ipc.Inbox(sys.stdin.fileno()), sys.stdout.fileno()
    request = inbox.receive()
    if request is None:
        return
    try:
        arm_watchdog(_OPEN_TIMEOUT_S)
        _publish(request, inbox, output)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        with contextlib.suppress(BrokenPipeError):
            ipc.send(output, ipc.Message("failed", {"reason": reason_of(error)}))


def _publish(request: ipc.Message, inbox: ipc.Inbox, output: int) -> None:
    if request.fields.get("verify_peer") is not None:
        host, port, timeout_s = request.fields["verify_peer"]
        check_certificate(host, port, timeout_s=timeout_s)
    template = av.open(io.BytesIO(request.data), "r", format="nut")
    container = _open_container(request.fields)
    with contextlib.ExitStack() as stack:
        stack.callback(_close, container)
        tracks = [container.add_stream_from_template(stream, opaque=True) for stream in template.streams]
        for track in tracks:
            track.time_base = RTP_TIME_BASE
        container.start_encoding()  # connects
        arm_watchdog(0)
        ipc.send(output, ipc.Message("connected"))
        while (message := inbox.receive()) is not None and message.kind == "packet":
            arm_watchdog(_WRITE_TIMEOUT_S)
            container.mux_one(_packet(message, tracks))
            arm_watchdog(0)
            if message.fields["track"] == "video":
                ipc.send(output, ipc.Message("written", {"at": time.monotonic(), "arrived": message.fields["arrived"]}))


def _close(container: OutputContainer) -> None:
    """Send TEARDOWN if the server still responds; errors are ignored, because the cause has been reported."""
    arm_watchdog(_CLOSE_TIMEOUT_S)
    with contextlib.suppress(av.error.FFmpegError, OSError):
        container.close()


def _open_container(request: dict[str, Any]) -> OutputContainer:
    options = {**request["options"], "max_interleave_delta": _MAX_INTERLEAVE_US}
    return av.open(request["url"], "w", format=request["format"], container_options=options)


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
