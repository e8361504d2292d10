"""One client connection of the test server: parses requests and executes them."""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.rtsp.server import messages
from tests.rtsp.server.auth import Authenticator
from tests.rtsp.server.messages import Interleaved, Request, Response
from tests.rtsp.server.mount import Mount
from tests.rtsp.server.transports import InterleavedTransport, NetworkConditions, TrackTransport, UdpTransport

_SMALL_BUFFER_BYTES = 4096


class LoggedRequest(NamedTuple):
    """A received request."""

    method: str
    path: str
    role: str
    """`publisher`, `reader`, or `?` while unknown."""


@dataclass
class RtspState:
    """State shared by all clients, and the active faults."""

    authenticator: Authenticator
    network: NetworkConditions
    keep_readers: bool
    silent: bool = False
    not_found: bool = False
    reject_publish: bool = False
    mounts: dict[str, Mount] = field(default_factory=dict)
    requests: list[LoggedRequest] = field(default_factory=list)
    connections: set[Connection] = field(default_factory=set)

    def mount(self, path: str) -> Mount:
        """The mount point of that name, created if new."""
        return self.mounts.setdefault(messages.normalize_path(path), Mount())


class Connection(asyncio.Protocol):
    """One connection, from accept to close; runs on the server's thread only."""

    def __init__(self, state: RtspState) -> None:
        self.transports: dict[int, TrackTransport] = {}
        self.role, self.mount = "?", Mount()
        self._state, self._inbox, self._id = state, bytearray(), secrets.token_hex(4)
        self._tracks: dict[int, tuple[int, bool]] = {}
        """A publisher's interleaved channel → its track, and whether the channel carries RTCP."""

    # asyncio callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._state.connections.add(self)

    def data_received(self, data: bytes) -> None:
        self._inbox += data
        try:
            while (item := messages.pop_message(self._inbox)) is not None:
                if isinstance(item, Request):
                    self._handle(item)
                else:
                    self._forward(item)
        except ValueError:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._state.connections.discard(self)
        self.mount.leave(self, keep_readers=self._state.keep_readers)
        for transport in self.transports.values():
            transport.close()
        self.transports.clear()

    # Controlled by the test

    def close(self) -> None:
        """Flush the output, then close."""
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def reset(self) -> None:
        """Reset the connection (TCP RST), like a crashed machine."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def stop_reading(self) -> None:
        """Stop reading, so that the sender's buffer fills."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER_BYTES)
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Resume reading."""
        self._transport.resume_reading()

    @property
    def _socket(self) -> socket.socket:
        raw: socket.socket = self._transport.get_extra_info("socket")
        return raw

    # Client requests

    def _forward(self, item: Interleaved) -> None:
        if self.mount.publisher is self and item.channel in self._tracks:
            track, report = self._tracks[item.channel]
            self.mount.forward(track, item.packet, report=report)

    def _handle(self, request: Request) -> None:
        if request.method in ("ANNOUNCE", "DESCRIBE"):
            self.role = "publisher" if request.method == "ANNOUNCE" else "reader"
        self._state.requests.append(LoggedRequest(request.method, request.path, self.role))
        if self._state.silent:
            return
        self._transport.write(self._respond(request).encode(request))
        if request.method == "PLAY" and self not in self.mount.readers:
            self.mount.readers.append(self)
        if request.method == "TEARDOWN":
            self.mount.teardowns += self.role == "publisher"
            self._transport.close()

    def _respond(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response("200 OK", {"Public": "ANNOUNCE, DESCRIBE, SETUP, RECORD, PLAY, TEARDOWN, GET_PARAMETER"})
        if not self._state.authenticator.authorizes(request):
            return Response("401 Unauthorized", {"WWW-Authenticate": self._state.authenticator.challenge()})
        match request.method:
            case "ANNOUNCE":
                return self._announce(request)
            case "DESCRIBE":
                return self._describe(request)
            case "SETUP":
                return self._setup(request)
            case "RECORD":
                self.mount.recording = True
            case "PLAY" | "PAUSE" | "TEARDOWN" | "GET_PARAMETER" | "SET_PARAMETER":
                pass
            case _:
                return Response("501 Not Implemented", {})
        return Response("200 OK", self._session)

    def _announce(self, request: Request) -> Response:
        if self._state.reject_publish:
            return Response("403 Forbidden", {})
        self.mount = self._state.mount(request.path)
        self.mount.announce(self, request.body)
        return Response("200 OK", self._session)

    def _describe(self, request: Request) -> Response:
        mount = self._state.mount(request.path)
        if self._state.not_found or not mount.recording:
            return Response("404 Not Found", {})
        self.mount = mount
        headers = {"Content-Type": "application/sdp", "Content-Base": request.uri.rstrip("/") + "/"}
        return Response("200 OK", headers, messages.sdp_for_readers(mount.sdp))

    def _setup(self, request: Request) -> Response:
        transport_header, track = request.headers.get("transport", ""), request.track
        channels = messages.port_pair(transport_header, "interleaved") or (2 * track, 2 * track + 1)
        client_ports = messages.port_pair(transport_header, "client_port")
        if "TCP" in transport_header:
            transport: TrackTransport = InterleavedTransport(self._transport, channels)
        elif client_ports and self.role == "reader":
            transport = UdpTransport(self._transport.get_extra_info("peername")[0], client_ports, self._state.network)
        else:
            return Response("461 Unsupported Transport", {})
        self._tracks |= {channels[0]: (track, False), channels[1]: (track, True)}
        self.transports[track] = transport
        return Response("200 OK", {**self._session, "Transport": transport.header})

    @property
    def _session(self) -> dict[str, str]:
        return {"Session": f"{self._id};timeout=60"}
