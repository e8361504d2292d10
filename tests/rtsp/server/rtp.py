"""Reads and rewrites RTP timestamps."""

from __future__ import annotations

import struct

CLOCK_HZ = 90_000
"""Clock rate of video."""
_WRAP = 1 << 32
_SENDER_REPORT = 200


def timestamp(packet: bytes) -> int:
    """The timestamp of an RTP packet."""
    return int(struct.unpack_from(">I", packet, 4)[0])


class TimestampRewriter:
    """Rewrites the timestamps of one video track as tests request."""

    def __init__(self) -> None:
        self._offset = 0
        """Offset added to every packet from now on."""
        self._extra, self._pictures = 0, 0
        """Additional offset for this many pictures, including the current one."""
        self._pending: list[tuple[int, int | None]] = []
        self._wrap_in: int | None = None
        self._current: int | None = None

    def shift(self, seconds: float, *, pictures: int | None) -> None:
        """Shift the timestamps of the next `pictures`; None: of all that follow."""
        self._pending.append((round(seconds * CLOCK_HZ), pictures))

    def wrap_timestamps_after(self, seconds: float) -> None:
        """Let the 32-bit timestamp wrap around this long after the next picture."""
        self._wrap_in = round(seconds * CLOCK_HZ)

    def rewrite(self, packet: bytes) -> bytes:
        """An RTP packet as sent to readers."""
        before = timestamp(packet)
        if before != self._current:
            self._current = before
            self._begin_picture(before)
        extra = self._extra if self._pictures else 0
        return self._add_to_field(packet, at=4, by=self._offset + extra)

    def rewrite_report(self, packet: bytes) -> bytes:
        """An RTCP packet as sent to readers: sender reports must match the RTP timestamps."""
        if len(packet) < 20 or packet[1] != _SENDER_REPORT:
            return packet
        return self._add_to_field(packet, at=16, by=self._offset)

    def _begin_picture(self, before: int) -> None:
        self._pictures = max(0, self._pictures - 1)
        if self._wrap_in is not None:
            self._offset, self._wrap_in = -self._wrap_in - before, None
        for ticks, pictures in self._pending:
            if pictures is None:
                self._offset += ticks
            else:
                self._extra, self._pictures = ticks, pictures
        self._pending.clear()

    @staticmethod
    def _add_to_field(packet: bytes, *, at: int, by: int) -> bytes:
        if by % _WRAP == 0:
            return packet
        total = (int.from_bytes(packet[at : at + 4], "big") + by) % _WRAP
        return packet[:at] + total.to_bytes(4, "big") + packet[at + 4 :]
