"""Puts the RTP packets of one UDP track in order: repeated ones are dropped, missing ones counted."""

from __future__ import annotations

_MAX_WAIT_S = 0.2
"""How long a missing packet is waited for."""
_MAX_HELD = 512
_RESTART = 3000
"""A step of this many packets is not a loss, but a sender that counts anew."""
_MODULUS = 1 << 16


class Reorder:
    """`for packet in reorder.push(packet, now_s=…)`: packets in order of sequence number, each once."""

    def __init__(self) -> None:
        self.lost = 0
        """Packets given up so far."""
        self._next: int | None = None
        self._held: dict[int, tuple[bytes, float]] = {}
        """Packets and their times of arrival, by sequence number."""
        self._strange: int | None = None
        """The sequence number after the last packet that was far from the others."""

    def push(self, packet: bytes, *, now_s: float) -> list[bytes]:
        """Take a packet; returns those that are due."""
        if len(packet) < 12:
            return []
        number = int.from_bytes(packet[2:4], "big")
        if self._next is None:
            self._next = number
        ahead = (number - self._next) % _MODULUS
        if _RESTART < ahead < _MODULUS - _RESTART:
            if number != self._strange:
                self._strange = (number + 1) % _MODULUS
                return []
            self._held.clear()
            self._next, ahead = number, 0
        if ahead >= _MODULUS - _RESTART:  # repeated, or given up
            return []
        self._held[number] = (packet, now_s)
        return self._due() + self.expire(now_s=now_s)

    def expire(self, *, now_s: float) -> list[bytes]:
        """Packets that have waited for a missing one long enough."""
        due: list[bytes] = []
        while self._held:
            assert self._next is not None
            first = self._next
            nearest = min(self._held, key=lambda number: (number - first) % _MODULUS)
            if now_s - self._held[nearest][1] <= _MAX_WAIT_S and len(self._held) <= _MAX_HELD:
                break
            self.lost += (nearest - first) % _MODULUS
            self._next = nearest
            due += self._due()
        return due

    def _due(self) -> list[bytes]:
        due = []
        while self._next in self._held:
            due.append(self._held.pop(self._next)[0])
            self._next = (self._next + 1) % _MODULUS
        return due
