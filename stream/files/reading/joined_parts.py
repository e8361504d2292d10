"""One timeline for recordings that were joined byte by byte: each part's times begin anew.

All tracks of a part are shifted by the same amount, so that sound stays in step, to begin where the part before ends.
Which part a packet belongs to is decided by the shift that brings it closest to the packets around it: at a join, the
tracks do not change over at the same packet, and a single damaged time must not move what follows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from av.container import InputContainer

from deepclarity.stream.packets import RTP_TIME_BASE, AnyPacket

_FORMATS = frozenset({"mpegts", "mpeg"})
"""Containers that are joined so: what precedes does not matter in them. Their time base is 1/90,000 s."""
_BACK = 45_000
"""A time this far before the one of the packet before is the beginning of a part."""
_FORWARD = 900_000
"""A time this far after all others is damaged, unless more of them follow."""
_CONFIRMED = 3
_PARTS_IN_REACH = 3


@dataclass(slots=True)
class _Track:
    """Where a track has got to, in ticks of the common timeline."""

    last: int
    far: int = 0
    """Packets in a row that are far after all others."""


class JoinedParts:
    """Shifts packets onto one timeline; needs the packets of all tracks, in the order of the file."""

    def __init__(self, *, on_join: Callable[[], None] = lambda: None) -> None:
        """`on_join` is called where a part begins."""
        self._on_join = on_join
        self._shifts = [0]
        self._tracks: dict[int, _Track] = {}
        self._now: int | None = None
        self._end = 0
        """Where the last picture or sound so far ends."""

    def place(self, packet: AnyPacket) -> None:
        """Shift the times of `packet`, which stays as it is in a file that is not joined."""
        time = packet.dts if packet.dts is not None else packet.pts
        if time is None or packet.time_base != RTP_TIME_BASE:
            return
        track = self._tracks.get(packet.stream_index)
        shift = self._nearest(time, track)
        if shift is None:
            shift = self._end - _shown(packet, time)
            self._shifts.append(shift)
            self._on_join()
        if track is None:
            track = self._tracks[packet.stream_index] = _Track(time + shift)
        self._advance(track, time + shift, end=shift + _shown(packet, time) + (packet.duration or 0))
        if shift:
            packet.pts = None if packet.pts is None else packet.pts + shift
            packet.dts = None if packet.dts is None else packet.dts + shift

    def _nearest(self, time: int, track: _Track | None) -> int | None:
        """The shift that brings `time` closest to the packet before, not far back; None if each of them would.

        That is the packet before of the track, or of any track if that is long ago.
        """
        if self._now is None:
            return 0
        shifts = self._shifts[-_PARTS_IN_REACH:]
        before = self._now if track is None or abs(self._now - track.last) > _FORWARD else track.last
        if track is not None:
            earliest = min(track.last, self._now) - _BACK
            shifts = [shift for shift in shifts if time + shift >= earliest]
        return min(shifts, key=lambda shift: abs(time + shift - before), default=None)

    def _advance(self, track: _Track, time: int, *, end: int) -> None:
        if self._now is not None and time > self._now + _FORWARD:
            track.far += 1
            if track.far < _CONFIRMED:
                return
        track.far = 0
        track.last = self._now = time
        self._end = max(self._end, end)


def _shown(packet: AnyPacket, otherwise: int) -> int:
    return otherwise if packet.pts is None else packet.pts


def joined_parts(container: InputContainer, *, on_join: Callable[[], None]) -> JoinedParts | None:
    """The timeline of a file of a format that can be joined byte by byte; None for others."""
    return JoinedParts(on_join=on_join) if container.format.name in _FORMATS else None
