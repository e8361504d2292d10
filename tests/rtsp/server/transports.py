"""RTP transports of the test server: interleaved on the RTSP connection, or UDP with simulated loss."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from tests.rtsp.server.messages import frame

_QUEUE_BYTES = 8 << 20
"""A reader that is this far behind gets nothing more until it has caught up."""
_TRIES = 100


class Way(Protocol):
    """The way of one track to one reader."""

    @property
    def transport(self) -> str:
        """The Transport header that says the reader of it."""

    def send(self, packet: bytes, *, report: bool) -> None:
        """Send an RTP packet or, where it is a `report`, an RTCP packet; never waits."""

    def close(self) -> None:
        """Give back what it holds."""


@dataclass
class Interleaving:
    """On the RTSP connection itself."""

    connection: asyncio.Transport
    channels: tuple[int, int]

    @property
    def transport(self) -> str:
        return f"RTP/AVP/TCP;unicast;interleaved={self.channels[0]}-{self.channels[1]}"

    def send(self, packet: bytes, *, report: bool) -> None:
        if not self.connection.is_closing() and self.connection.get_write_buffer_size() < _QUEUE_BYTES:
            self.connection.write(frame(self.channels[report], packet))

    def close(self) -> None:
        """Nothing to do: the connection is not ours."""


@dataclass
class Weather:
    """What happens to RTP packets that travel as datagrams. Shares are 0..1, the dice are seeded."""

    loss: float = 0.0
    duplicated: float = 0.0
    reordered: float = 0.0
    """Share of packets that arrive behind the next one."""
    lost: int = 0
    """How many packets have been lost so far."""
    dice: Random = field(default_factory=lambda: Random(7))


class Datagrams:
    """From two sockets of ours to two ports of the reader."""

    def __init__(self, host: str, client_ports: tuple[int, int], weather: Weather) -> None:
        self._to = [(host, port) for port in client_ports]
        self._client_ports, self._weather = client_ports, weather
        self._sockets = _pair()
        self._late: bytes | None = None

    @property
    def transport(self) -> str:
        theirs, ours = self._client_ports, [each.getsockname()[1] for each in self._sockets]
        return f"RTP/AVP/UDP;unicast;client_port={theirs[0]}-{theirs[1]};server_port={ours[0]}-{ours[1]}"

    def send(self, packet: bytes, *, report: bool) -> None:
        if report:
            self._put(packet, 1)
            return
        roll = self._weather.dice.random
        if roll() < self._weather.loss:
            self._weather.lost += 1
        elif roll() < self._weather.reordered and self._late is None:
            self._late = packet
        else:
            self._put(packet, 0)
            if roll() < self._weather.duplicated:
                self._put(packet, 0)
            if self._late is not None:
                self._put(self._late, 0)
                self._late = None

    def _put(self, packet: bytes, which: int) -> None:
        with contextlib.suppress(OSError):  # a reader that has gone answers with ICMP: not our trouble
            self._sockets[which].sendto(packet, self._to[which])

    def close(self) -> None:
        for each in self._sockets:
            each.close()


def _pair() -> tuple[socket.socket, socket.socket]:
    """Two datagram sockets on neighbouring ports, the first of them even."""
    for _ in range(_TRIES):
        first = _datagram_socket(0)
        assert first is not None
        port = first.getsockname()[1]
        second = _datagram_socket(port + 1) if port % 2 == 0 else None
        if second is not None:
            return first, second
        first.close()
    raise OSError("no two neighbouring UDP ports are free")


def _datagram_socket(port: int) -> socket.socket | None:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    try:
        made.bind(("127.0.0.1", port))
    except OSError:
        made.close()
        return None
    return made
