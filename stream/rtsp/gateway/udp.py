"""RTP over UDP: the two ports of one track."""

from __future__ import annotations

import re
import socket
from contextlib import suppress

from deepclarity.stream.rtsp.failure import SourceFailure

from .reorder import Reorder

_MAX_ATTEMPTS = 50
_BUFFER_BYTES = 1 << 21
_DATAGRAM_BYTES = 1 << 16


class UdpTrack:
    """Receives the packets of one track in order, and sends its reports."""

    def __init__(self, camera: tuple[str, int], family: socket.AddressFamily) -> None:
        """`camera`: (numeric host, port) of the RTSP connection; datagrams of other hosts are ignored."""
        self._camera, self._family = camera[0], family
        self.media, self.reports = self._open_pair()
        self._report_address: tuple[str, int] | None = None
        self._reorder = Reorder()

    @property
    def transport(self) -> str:
        """The Transport header that asks for these ports."""
        port = self.media.getsockname()[1]
        return f"RTP/AVP/UDP;unicast;client_port={port}-{port + 1}"

    def begin(self, transport: str) -> None:
        """Take the camera's answer; opens the way back through a firewall."""
        source = re.search(r"source=([^;\s]+)", transport)
        ports = re.search(r"server_port=(\d+)(?:-(\d+))?", transport)
        if source and re.fullmatch(r"[0-9a-fA-F.:]+", source[1]):
            self._camera = source[1]
        if ports:
            media = int(ports[1])
            self._report_address = (self._camera, int(ports[2] or media + 1))
            with suppress(OSError):
                self.media.sendto(bytes([0x80]) + bytes(11), (self._camera, media))

    def receive_media(self, *, now_s: float) -> list[bytes]:
        """RTP packets that are due."""
        due: list[bytes] = []
        for packet in self._datagrams(self.media):
            due += self._reorder.push(packet, now_s=now_s)
        return due

    def overdue(self, *, now_s: float) -> list[bytes]:
        """RTP packets that have waited for a lost one long enough."""
        return self._reorder.expire(now_s=now_s)

    def receive_reports(self) -> list[bytes]:
        """RTCP packets."""
        return self._datagrams(self.reports)

    def send_report(self, packet: bytes) -> None:
        """Send an RTCP packet to the camera."""
        if self._report_address is not None:
            with suppress(OSError):
                self.reports.sendto(packet, self._report_address)

    def close(self) -> None:
        """Close both ports."""
        self.media.close()
        self.reports.close()

    def _datagrams(self, port: socket.socket) -> list[bytes]:
        found = []
        with suppress(BlockingIOError, ConnectionError):
            while True:
                data, sender = port.recvfrom(_DATAGRAM_BYTES)
                if sender[0] == self._camera:
                    found.append(data)
        return found

    def _open_pair(self) -> tuple[socket.socket, socket.socket]:
        """Two consecutive ports, the first one even."""
        for _ in range(_MAX_ATTEMPTS):
            first = self._open(0)
            port = first.getsockname()[1]
            if port % 2 == 0:
                try:
                    return first, self._open(port + 1)
                except OSError:
                    pass
            first.close()
        raise SourceFailure("no two consecutive UDP ports are free")

    def _open(self, port: int) -> socket.socket:
        opened = socket.socket(self._family, socket.SOCK_DGRAM)
        try:
            opened.bind(("", port))
        except OSError:
            opened.close()
            raise
        opened.setblocking(False)
        with suppress(OSError):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        return opened
