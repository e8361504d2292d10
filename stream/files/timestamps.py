"""Timestamps: forces those of damaged or concatenated files to increase strictly, and computes decoding times."""

from __future__ import annotations

from collections import deque

_NEW_TIMELINE = 3
"""This many timestamps in a row that are too early are not errors: the file was concatenated."""


class MonotonicTimestamps:
    """Corrects timestamps that do not increase; all others stay unchanged.

    A single early timestamp is moved directly after its predecessor. Several in a row are the start of a new timeline,
    which is shifted to continue the previous one.
    """

    def __init__(self, *, step: int) -> None:
        """`step`: the usual interval between timestamps, in ticks."""
        self.last: int | None = None
        self.moved = 0
        """Timestamps corrected so far."""
        self._step = max(1, step)
        self._offset = 0
        self._behind = 0

    def place(self, time: int) -> int:
        """`time`, or a corrected timestamp that is later than the previous one."""
        placed = time + self._offset
        if self.last is None or placed > self.last:
            self._behind = 0
        else:
            self.moved += 1
            near = self.last - placed < 2 * self._step
            self._behind = 0 if near else self._behind + 1
            placed = self.last + (1 if near else self._step)
            if self._behind == _NEW_TIMELINE:
                self._offset = placed - time
        self.last = placed
        return placed


class DecodeTimes:
    """Computes DTS: the n-th packet gets the PTS of the (n - reorder depth)-th frame in presentation order.

    They increase strictly for any variable frame rate, whichever encoders the packets come from.
    """

    def __init__(self, *, negative: bool) -> None:
        """`negative`: whether the container allows a DTS before the first PTS."""
        self.frames = 0
        """Frames so far."""
        self._negative = negative
        self._pending: deque[int] = deque()
        self._packets = 0
        self._first: int | None = None
        self._step = 1

    def register(self, pts: int) -> None:
        """Count a frame, in presentation order, before any packet that is decoded after it."""
        if self._first is None:
            self._first = pts
        elif self.frames == 1:
            self._step = max(1, pts - self._first)
        self._pending.append(pts)
        self.frames += 1

    def next(self, pts: int | None, depth: int) -> int:
        """The DTS of the next packet in decoding order, no later than its `pts`; `depth`: reorder depth in frames."""
        assert self._first is not None
        delay = depth - self._packets
        self._packets += 1
        if delay > 0:
            dts = self._first - delay * self._step if self._negative else self._first
        else:
            dts = self._pending.popleft()
        return dts if pts is None else min(dts, pts)

    def skip(self, depth: int) -> None:
        """Count a packet that has its DTS already."""
        self._packets += 1
        if len(self._pending) > depth:
            self._pending.popleft()
