"""Forces timestamps of damaged or concatenated files to increase strictly."""

from __future__ import annotations

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
