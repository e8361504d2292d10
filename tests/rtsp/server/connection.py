"""One client connection of the test server: parses requests and executes them."""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.rtsp.server import messages
from tests.rtsp.server.auth import Gate
from tests.rtsp.server.messages import Answer, Interleaved, Request
from tests.rtsp.server.mount import Mount
from tests.rtsp.server.transports import Datagrams, Interleaving, Way, Weather

_SMALL_BYTES = 4096


class Asked(NamedTuple):
    """A request that has come in."""

    method: str
    path: str
    who: str
    """`publisher`, `reader`, or `?` before it has said what it wants."""


@dataclass
class RtspState:
    """What all clients share, and how they are treated just now."""

    gate: Gate
    weather: Weather
    keep_readers: bool
    silent: bool = False
    not_found: bool = False
    reject_publish: bool = False
    mounts: dict[str, Mount] = field(default_factory=dict)
    requests: list[Asked] = field(default_factory=list)
    connections: set[Connection] = field(default_factory=set)

    def mount(self, path: str) -> Mount:
        """The path of that name, made where it has not been heard of before."""
        return self.mounts.setdefault(messages.clean(path), Mount())


class Connection(asyncio.Protocol):
    """From accept to close; runs on the server's thread only."""

    def __init__(self, state: RtspState) -> None:
        self.ways: dict[int, Way] = {}
        self.who, self.mount = "?", Mount()
        self._state, self._inbox, self._id = state, bytearray(), secrets.token_hex(4)
        self._tracks: dict[int, tuple[int, bool]] = {}
        """By channel of a publisher: the track, and whether it is the one for RTCP."""

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._state.connections.add(self)

    def data_received(self, data: bytes) -> None:
        self._inbox += data
        try:
            while (item := messages.take(self._inbox)) is not None:
                if isinstance(item, Request):
                    self._serve(item)
                else:
                    self._carry(item)
        except ValueError:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._state.connections.discard(self)
        self.mount.leave(self, keep_readers=self._state.keep_readers)
        for way in self.ways.values():
            way.close()
        self.ways.clear()

    # What the server's owner orders

    def close(self) -> None:
        """Say what is still to be said, then close."""
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def reset(self) -> None:
        """Be gone, as a crashed machine is: TCP RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def stop_reading(self) -> None:
        """Leave what comes where it is, so that the sender's buffer fills."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BYTES)
        self._transport.pause_reading()

    def read_on(self) -> None:
        """Read again."""
        self._transport.resume_reading()

    @property
    def _socket(self) -> socket.socket:
        found: socket.socket = self._transport.get_extra_info("socket")
        return found

    # What the client wants

    def _carry(self, item: Interleaved) -> None:
        if self.mount.publisher is self and item.channel in self._tracks:
            track, report = self._tracks[item.channel]
            self.mount.pass_on(track, item.packet, report=report)

    def _serve(self, request: Request) -> None:
        if request.method in ("ANNOUNCE", "DESCRIBE"):
            self.who = "publisher" if request.method == "ANNOUNCE" else "reader"
        self._state.requests.append(Asked(request.method, request.path, self.who))
        if self._state.silent:
            return
        self._transport.write(self._answer(request).encode(request))
        if request.method == "PLAY" and self not in self.mount.readers:
            self.mount.readers.append(self)
        if request.method == "TEARDOWN":
            self.mount.teardowns += self.who == "publisher"
            self._transport.close()

    def _answer(self, request: Request) -> Answer:
        if request.method == "OPTIONS":
            return Answer("200 OK", {"Public": "ANNOUNCE, DESCRIBE, SETUP, RECORD, PLAY, TEARDOWN, GET_PARAMETER"})
        if not self._state.gate.admits(request):
            return Answer("401 Unauthorized", {"WWW-Authenticate": self._state.gate.challenge()})
        match request.method:
            case "ANNOUNCE":
                return self._announce(request)
            case "DESCRIBE":
                return self._describe(request)
            case "SETUP":
                return self._set_up(request)
            case "RECORD":
                self.mount.recording = True
            case "PLAY" | "PAUSE" | "TEARDOWN" | "GET_PARAMETER" | "SET_PARAMETER":
                pass
            case _:
                return Answer("501 Not Implemented", {})
        return Answer("200 OK", self._session)

    def _announce(self, request: Request) -> Answer:
        if self._state.reject_publish:
            return Answer("403 Forbidden", {})
        self.mount = self._state.mount(request.path)
        self.mount.announce(self, request.body)
        return Answer("200 OK", self._session)

    def _describe(self, request: Request) -> Answer:
        mount = self._state.mount(request.path)
        if self._state.not_found or not mount.recording:
            return Answer("404 Not Found", {})
        self.mount = mount
        headers = {"Content-Type": "application/sdp", "Content-Base": request.uri.rstrip("/") + "/"}
        return Answer("200 OK", headers, messages.sdp_for_readers(mount.sdp))

    def _set_up(self, request: Request) -> Answer:
        wanted, track = request.headers.get("transport", ""), request.track
        channels = messages.ports(wanted, "interleaved") or (2 * track, 2 * track + 1)
        client_ports = messages.ports(wanted, "client_port")
        if "TCP" in wanted:
            way: Way = Interleaving(self._transport, channels)
        elif client_ports and self.who == "reader":
            way = Datagrams(self._transport.get_extra_info("peername")[0], client_ports, self._state.weather)
        else:
            return Answer("461 Unsupported Transport", {})
        self._tracks |= {channels[0]: (track, False), channels[1]: (track, True)}
        self.ways[track] = way
        return Answer("200 OK", {**self._session, "Transport": way.transport})

    @property
    def _session(self) -> dict[str, str]:
        return {"Session": f"{self._id};timeout=60"}
