"""Placeholder schedule of a live source: decides when missing pictures are replaced, and by what."""

from __future__ import annotations

from deepclarity.stream.frame import Placeholder

_HOLD_AFTER_S = 0.25
_SLATE_AFTER_S = 1.0
_INTERVAL_S = 0.1
_LATE_INTERVALS = 3
"""A picture is missing only after this many frame intervals: a slow camera is not a lost one."""


class PlaceholderSchedule:
    """While no picture arrives: nothing at first, then the last picture, then a slate, ten times a second."""

    def __init__(self) -> None:
        self._last_s = 0.0

    def due(
        self, *, now_s: float, last_arrival_s: float, frame_interval_s: float, has_picture: bool
    ) -> Placeholder | None:
        """Kind of placeholder to show at `now_s`, or None. Times are in seconds on the monotonic clock.

        `has_picture`: whether any picture has arrived yet; a slate is shown at once until then.
        """
        silent_s, late_s = now_s - last_arrival_s, _LATE_INTERVALS * frame_interval_s
        is_current = has_picture and silent_s < max(_HOLD_AFTER_S, late_s)
        if is_current or now_s - self._last_s < _INTERVAL_S:
            return None
        self._last_s = now_s
        if not has_picture or silent_s >= max(_SLATE_AFTER_S, late_s):
            return Placeholder.SLATE
        return Placeholder.HELD
