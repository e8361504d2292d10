"""One client of a test camera: its requests, and what is sent to it."""

from __future__ import annotations

import contextlib
import itertools
import secrets
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.rtsp.camera.behaviour import authorized, new_nonce
from tests.rtsp.camera.clip import Track
from tests.rtsp.server.messages import Request, interleaved_frame, pop_message, port_pair
from tests.rtsp.server.transports import UdpTransport

if TYPE_CHECKING:
    from tests.rtsp.camera.camera import Camera

_POLL_S = 0.05
_PUBLIC = ("DESCRIBE", "SETUP", "PLAY", "TEARDOWN")
_NTP_1970 = 2_208_988_800


class Client:
    """A connection. Requests are read on the thread that runs it, media are sent by a thread of their own."""

    def __init__(self, camera: Camera, connection: socket.socket) -> None:
        self._camera, self._connection = camera, connection
        self._behaviour, self._tracks = camera.behaviour, camera.tracks
        self._write_lock = threading.Lock()
        self._nonces: set[str] = set()
        self._channels: dict[int, int] = {}
        self._udp: dict[int, UdpTransport] = {}
        self._session_id = secrets.token_hex(4)
        self._closed = threading.Event()
        self._sender: threading.Thread | None = None

    def close(self) -> None:
        """End the connection."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def run(self) -> None:
        """Answer requests until the client leaves or its session expires."""
        inbox, alive_s = bytearray(), time.monotonic()
        try:
            while not self._closed.is_set():
                if time.monotonic() - alive_s > self._behaviour.session_timeout_s:
                    self._camera.expired += 1
                    return
                data = self._receive()
                if data == b"":
                    return
                inbox += data or b""
                while (item := pop_message(inbox)) is not None:
                    if isinstance(item, Request):
                        prolongs = item.method not in ("GET_PARAMETER", "OPTIONS") or self._keeps_alive(item)
                        alive_s = time.monotonic() if prolongs else alive_s
                        self._handle(item)
        finally:
            self.close()
            if self._sender is not None:
                self._sender.join()
            for transport in self._udp.values():
                transport.close()

    def _receive(self) -> bytes | None:
        """What has arrived; None: nothing yet; empty: the client has left."""
        pending = isinstance(self._connection, ssl.SSLSocket) and self._connection.pending()
        if not pending and not select.select([self._connection], [], [], _POLL_S)[0]:
            return None
        return self._connection.recv(1 << 16)

    def _keeps_alive(self, request: Request) -> bool:
        return request.method == self._behaviour.keep_alive or self._sender is None

    # Requests ---------------------------------------------------------------------------------------------------------

    def _handle(self, request: Request) -> None:
        self._camera.requests.append(request)
        status, headers, body = self._response(request)
        lines = [f"RTSP/1.0 {status}", f"CSeq: {request.headers.get('cseq', '0')}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self._write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        if request.method == "PLAY" and status.startswith("200"):
            self._camera.sessions += 1
            self._sender = threading.Thread(target=self._send, name="camera sender", daemon=True)
            self._sender.start()
        elif request.method == "TEARDOWN":
            self.close()

    def _response(self, request: Request) -> tuple[str, list[tuple[str, str]], bytes]:
        if request.method == "OPTIONS" and self._sender is None:
            return "200 OK", [("Public", ", ".join((*_PUBLIC, self._behaviour.keep_alive)))], b""
        if not authorized(self._behaviour, request, self._nonces):
            nonce = new_nonce()
            self._nonces.add(nonce)
            return "401 Unauthorized", self._behaviour.challenge_headers(nonce), b""
        if self._behaviour.nonce_per_request:
            self._nonces.clear()
        session = [("Session", f"{self._session_id};timeout={max(1, round(self._behaviour.session_timeout_s))}")]
        match request.method:
            case "DESCRIBE":
                return self._describe(request)
            case "SETUP":
                return self._setup(request, session)
            case "PLAY" | "TEARDOWN":
                return "200 OK", session, b""
            case method if method == self._behaviour.keep_alive:
                return "200 OK", session, b""
        return "501 Not Implemented", [], b""

    def _describe(self, request: Request) -> tuple[str, list[tuple[str, str]], bytes]:
        behaviour = self._behaviour
        if behaviour.describe_status is not None:
            return behaviour.describe_status, [], b""
        if behaviour.redirects_to is not None:
            return "302 Moved Temporarily", [("Location", behaviour.redirects_to)], b""
        base = behaviour.content_base or request.uri.rstrip("/") + "/"
        headers = [("Content-Type", "application/sdp"), ("Content-Base", base)]
        lines = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=camera", "t=0 0", "a=control:*"]
        for number, track in enumerate(self._tracks):
            lines.append(f"m={track.media} 0 RTP/AVP {track.payload}")
            lines += [f"a={line}" for line in (*track.attributes, f"control:trackID={number}")]
        return "200 OK", headers, ("\r\n".join(lines) + "\r\n").encode()

    def _setup(self, request: Request, session: list[tuple[str, str]]) -> tuple[str, list[tuple[str, str]], bytes]:
        if request.path != "main":
            return "404 Not Found", [], b""
        wanted, track = request.headers.get("transport", ""), request.track
        ports = port_pair(wanted, "client_port")
        if "TCP" in wanted:
            channels = port_pair(wanted, "interleaved") or (2 * track, 2 * track + 1)
            self._channels[track] = channels[0]
            header = f"RTP/AVP/TCP;unicast;interleaved={channels[0]}-{channels[1]}"
        elif ports is not None:
            self._udp[track] = UdpTransport("127.0.0.1", ports, self._behaviour.network)
            header = self._udp[track].header
        else:
            return "461 Unsupported Transport", [], b""
        return "200 OK", [*session, ("Transport", header)], b""

    # Media ------------------------------------------------------------------------------------------------------------

    def _send(self) -> None:
        numbers = [number for number in range(len(self._tracks)) if number in self._channels | self._udp]
        streams = {number: self._packets(self._tracks[number]) for number in numbers}
        upcoming = {number: next(stream) for number, stream in streams.items()}
        started_s, sequence = time.monotonic(), dict.fromkeys(numbers, 0)
        limit = self._behaviour.limit
        with contextlib.suppress(OSError):
            for sent in itertools.count():
                number = min(upcoming, key=lambda each: upcoming[each][0])
                due_s, index, timestamp, packets = upcoming[number]
                if limit is not None and index >= limit:
                    return
                if self._closed.wait(max(0.0, started_s + due_s / self._behaviour.speed - time.monotonic())):
                    return
                if self._behaviour.reports and sent % 50 == 0:
                    self._send_packet(number, _sender_report(timestamp, self._behaviour.clock_offset_s), report=True)
                for packet in packets:
                    head = struct.pack(">BBHI", packet[0], packet[1], sequence[number] & 0xFFFF, timestamp & 0xFFFFFFFF)
                    self._send_packet(number, head + packet[8:], report=False)
                    sequence[number] += 1
                self._camera.sent += 1
                upcoming[number] = next(streams[number])

    def _packets(self, track: Track) -> Iterator[tuple[float, int, int, tuple[bytes, ...]]]:
        """(due time in seconds, index, RTP timestamp, packets) of each unit, in order of sending, without end."""
        spacing_s = track.length / len(track.units) / track.clock_hz
        index = 0
        for loop in itertools.count():
            for unit in track.units:
                timestamp = self._behaviour.first_timestamp + loop * track.length + unit.time
                yield index * spacing_s, index, timestamp, unit.packets
                index += 1

    def _send_packet(self, track: int, packet: bytes, *, report: bool) -> None:
        if track in self._udp:
            self._udp[track].send(packet, report=report)
        else:
            self._write(interleaved_frame(self._channels[track] + report, packet))

    def _write(self, data: bytes) -> None:
        with self._write_lock:
            self._connection.sendall(data)


def _sender_report(timestamp: int, clock_offset_s: float) -> bytes:
    seconds = time.time() + _NTP_1970 + clock_offset_s
    ntp = int(seconds * (1 << 32)) & (1 << 64) - 1
    return struct.pack(">BBHIQIII", 0x80, 200, 6, 0, ntp, timestamp & 0xFFFFFFFF, 0, 0)
