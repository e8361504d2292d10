"""RTP transports of the test server: interleaved on the RTSP connection, or UDP with simulated loss."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from tests.rtsp.server.messages import interleaved_frame

_MAX_QUEUE_BYTES = 8 << 20
"""A reader this far behind receives nothing until it has caught up."""
_MAX_ATTEMPTS = 100


class TrackTransport(Protocol):
    """Transport of one track to one reader."""

    @property
    def header(self) -> str:
        """The Transport header sent to the reader."""

    def send(self, packet: bytes, *, report: bool) -> None:
        """Send an RTP packet or, if `report`, an RTCP packet; never blocks."""

    def close(self) -> None:
        """Release its resources."""


@dataclass
class InterleavedTransport:
    """RTP interleaved on the RTSP connection."""

    connection: asyncio.Transport
    channels: tuple[int, int]

    @property
    def header(self) -> str:
        return f"RTP/AVP/TCP;unicast;interleaved={self.channels[0]}-{self.channels[1]}"

    def send(self, packet: bytes, *, report: bool) -> None:
        if not self.connection.is_closing() and self.connection.get_write_buffer_size() < _MAX_QUEUE_BYTES:
            self.connection.write(interleaved_frame(self.channels[report], packet))

    def close(self) -> None:
        """Nothing to release: the connection belongs to the client."""


@dataclass
class NetworkConditions:
    """Simulated faults of RTP datagrams. Shares are 0..1, drawn from a seeded generator."""

    loss: float = 0.0
    duplicated: float = 0.0
    reordered: float = 0.0
    """Share of packets delivered after the next one."""
    lost: int = 0
    """Packets lost so far."""
    rng: Random = field(default_factory=lambda: Random(7))


class UdpTransport:
    """RTP over UDP, from two local sockets to two ports of the reader."""

    def __init__(self, host: str, client_ports: tuple[int, int], network: NetworkConditions) -> None:
        self._addresses = [(host, port) for port in client_ports]
        self._client_ports, self._network = client_ports, network
        self._sockets = _open_udp_pair()
        self._delayed: bytes | None = None

    @property
    def header(self) -> str:
        client, server = self._client_ports, [each.getsockname()[1] for each in self._sockets]
        return f"RTP/AVP/UDP;unicast;client_port={client[0]}-{client[1]};server_port={server[0]}-{server[1]}"

    def send(self, packet: bytes, *, report: bool) -> None:
        if report:
            self._send_datagram(packet, 1)
            return
        random = self._network.rng.random
        if random() < self._network.loss:
            self._network.lost += 1
        elif random() < self._network.reordered and self._delayed is None:
            self._delayed = packet
        else:
            self._send_datagram(packet, 0)
            if random() < self._network.duplicated:
                self._send_datagram(packet, 0)
            if self._delayed is not None:
                self._send_datagram(self._delayed, 0)
                self._delayed = None

    def _send_datagram(self, packet: bytes, which: int) -> None:
        with contextlib.suppress(OSError):  # a reader that is gone answers with ICMP errors: ignored
            self._sockets[which].sendto(packet, self._addresses[which])

    def close(self) -> None:
        for each in self._sockets:
            each.close()


def _open_udp_pair() -> tuple[socket.socket, socket.socket]:
    """Two datagram sockets on consecutive ports, the first one even."""
    for _ in range(_MAX_ATTEMPTS):
        first = _datagram_socket(0)
        assert first is not None
        port = first.getsockname()[1]
        second = _datagram_socket(port + 1) if port % 2 == 0 else None
        if second is not None:
            return first, second
        first.close()
    raise OSError("no two consecutive UDP ports are free")


def _datagram_socket(port: int) -> socket.socket | None:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setblocking(False)
    try:
        opened.bind(("127.0.0.1", port))
    except OSError:
        opened.close()
        return None
    return opened
