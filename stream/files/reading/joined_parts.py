"""One timeline for recordings that were joined byte by byte: each part's times begin anew.

All tracks of a part are shifted by the same amount, so that sound stays in step, to begin where the part before ends.
Which part a packet belongs to is decided by the shift that brings it closest to the packets before it, as the tracks do
not change over at the same packet. A jump counts only if the packets after it jump, too: others are damaged times.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from av.container import InputContainer

from deepclarity.stream.packets import RTP_TIME_BASE, AnyPacket

_FORMATS = frozenset({"mpegts", "mpeg"})
"""Containers that are joined so: what precedes does not matter in them. Their time base is 1/90,000 s."""
_BACK, _FORWARD = 45_000, 90_000
"""Ticks before or after the packets before it from which a packet's time is a jump."""
_SPARSE = 900_000
"""Ticks without a packet after which the other tracks say better where a track has got to, as with subtitles."""
_AHEAD = 12
"""Packets after a jump that are looked at."""
_MIN_SUPPORT = 3
_PARTS_IN_REACH = 3


class JoinedParts:
    """Shifts packets onto one timeline; needs those of all tracks, in the order of the file."""

    def __init__(self, *, on_join: Callable[[], None] = lambda: None) -> None:
        """`on_join` is called where a part begins."""
        self._on_join = on_join
        self._shifts = [0]
        self._last: dict[int, int] = {}
        """Where each track has got to on the common timeline."""
        self._now: int | None = None
        self._end = 0
        """Where the last picture or sound so far ends."""

    def placed(self, packets: Iterable[AnyPacket]) -> Iterator[AnyPacket]:
        """Yield `packets` with their times shifted; they stay as they are in a file that is not joined."""
        ahead: deque[AnyPacket] = deque()
        for packet in packets:
            ahead.append(packet)
            if len(ahead) > _AHEAD:
                first = ahead.popleft()
                self._place(first, ahead)
                yield first
        while ahead:
            first = ahead.popleft()
            self._place(first, ahead)
            yield first

    def _place(self, packet: AnyPacket, ahead: Iterable[AnyPacket]) -> None:
        time = _time_of(packet)
        if time is None:
            return
        shift, sound = self._shift(packet, time, ahead)
        if sound:
            self._last[packet.stream_index] = self._now = time + shift
            self._end = max(self._end, shift + _shown(packet, time) + (packet.duration or 0))
        if shift:
            packet.pts = None if packet.pts is None else packet.pts + shift
            packet.dts = None if packet.dts is None else packet.dts + shift

    def _shift(self, packet: AnyPacket, time: int, ahead: Iterable[AnyPacket]) -> tuple[int, bool]:
        """The shift for a packet, and whether its time is sound."""
        if self._now is None:
            return 0, True
        last = self._last.get(packet.stream_index, self._now)
        before = self._now if abs(self._now - last) > _SPARSE else last
        earliest, latest = min(last, self._now) - _BACK, max(last, self._now) + _FORWARD
        near = [shift for shift in self._shifts[-_PARTS_IN_REACH:] if earliest <= time + shift <= latest]
        if near:
            return min(near, key=lambda shift: abs(time + shift - before)), True
        current = self._shifts[-1]
        if not _is_supported(time, self._now - current, ahead):
            return current, False
        if time + current < earliest:
            self._shifts.append(self._end - _shown(packet, time))
            self._on_join()
        return self._shifts[-1], True


def joined_parts(container: InputContainer, *, on_join: Callable[[], None]) -> JoinedParts | None:
    """The timeline of a file of a format that can be joined byte by byte; None for others."""
    return JoinedParts(on_join=on_join) if container.format.name in _FORMATS else None


def _is_supported(jump: int, before: int, ahead: Iterable[AnyPacket]) -> bool:
    """Whether most of the packets that follow are closer to a jump than to the time before it."""
    times = [time for packet in ahead if (time := _time_of(packet)) is not None]
    closer = sum(abs(time - jump) < abs(time - before) for time in times)
    return closer >= _MIN_SUPPORT and 2 * closer > len(times)


def _time_of(packet: AnyPacket) -> int | None:
    if packet.time_base != RTP_TIME_BASE:
        return None
    return packet.pts if packet.dts is None else packet.dts


def _shown(packet: AnyPacket, otherwise: int) -> int:
    return otherwise if packet.pts is None else packet.pts
