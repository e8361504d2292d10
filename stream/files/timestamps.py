"""Forces timestamps to increase strictly, whatever a damaged or joined file contains."""

from __future__ import annotations

_NEW_TIMELINE = 3
"""So many times in a row that lie behind are no mistake: the file was joined from parts."""


class MonotonicTimestamps:
    """Moves times that stand still or run backwards; the others stay as they are.

    One that lies behind is put next to its neighbour. Several in a row are a new timeline, which is joined on.
    """

    def __init__(self, *, step: int) -> None:
        """`step`: the usual distance of two times, in ticks."""
        self.last: int | None = None
        self.moved = 0
        self._step = max(1, step)
        self._offset = 0
        self._behind = 0

    def place(self, time: int) -> int:
        """A time that is later than the one before."""
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
