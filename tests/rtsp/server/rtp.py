"""Reads and rewrites RTP timestamps."""

from __future__ import annotations

import struct

CLOCK_HZ = 90_000
"""What video is counted in."""
_WRAP = 1 << 32
_SENDER_REPORT = 200


def timestamp(packet: bytes) -> int:
    """The time in an RTP packet."""
    return int(struct.unpack_from(">I", packet, 4)[0])


class Clock:
    """Passes the packets of one video track on, with another time where a test wants that."""

    def __init__(self) -> None:
        self._offset = 0
        """Added to every packet from now on."""
        self._extra, self._pictures = 0, 0
        """Added besides to that many pictures, the present one counted."""
        self._ordered: list[tuple[int, int | None]] = []
        self._wrap_in: int | None = None
        self._now: int | None = None

    def shift(self, seconds: float, *, pictures: int | None) -> None:
        """Move the next `pictures` in time, or with None all that follow."""
        self._ordered.append((round(seconds * CLOCK_HZ), pictures))

    def wrap_in(self, seconds: float) -> None:
        """Let the 32 bits run over that long after the next picture."""
        self._wrap_in = round(seconds * CLOCK_HZ)

    def rewrite(self, packet: bytes) -> bytes:
        """An RTP packet as readers get it."""
        before = timestamp(packet)
        if before != self._now:
            self._now = before
            self._turn_page(before)
        extra = self._extra if self._pictures else 0
        return self._moved(packet, at=4, by=self._offset + extra)

    def rewrite_report(self, packet: bytes) -> bytes:
        """An RTCP packet as readers get it: a sender report must agree with the RTP."""
        if len(packet) < 20 or packet[1] != _SENDER_REPORT:
            return packet
        return self._moved(packet, at=16, by=self._offset)

    def _turn_page(self, before: int) -> None:
        self._pictures = max(0, self._pictures - 1)
        if self._wrap_in is not None:
            self._offset, self._wrap_in = -self._wrap_in - before, None
        for ticks, pictures in self._ordered:
            if pictures is None:
                self._offset += ticks
            else:
                self._extra, self._pictures = ticks, pictures
        self._ordered.clear()

    @staticmethod
    def _moved(packet: bytes, *, at: int, by: int) -> bytes:
        if by % _WRAP == 0:
            return packet
        moved = (int.from_bytes(packet[at : at + 4], "big") + by) % _WRAP
        return packet[:at] + moved.to_bytes(4, "big") + packet[at + 4 :]
