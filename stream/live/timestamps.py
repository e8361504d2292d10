"""Maps a live source's timestamps onto one strictly increasing output timeline."""

from __future__ import annotations

_NEW_TIMELINE = 3
"""This many consecutive outliers that fit each other are a new timeline, not errors."""
_ODD_S = 2.0
"""A timestamp this far from the expected one is an outlier."""
_LEAST_STEP_S = 0.001
_FIRST_STEP_S = 1 / 30
_LONGEST_STEP_S = 10.0
_BEHIND = 10
"""After this many consecutive late pictures at the usual pace, the source's clock must have stopped."""


class Timeline:
    """Maps a source's timestamps, in seconds, to ones that increase strictly and never jump.

    A single outlier is moved next to its neighbours. After an interruption, or when the source starts a new timeline,
    output time continues by the time that has really passed on the monotonic clock.
    """

    def __init__(self) -> None:
        self.moved = 0
        """Outliers that were moved next to their neighbours."""
        self.offset_s: float | None = None
        """Output time minus source time; None before the first timestamp. Audio is shifted by it as well."""
        self._last_s: float | None = None
        self._expected_s = 0.0
        self._arrived_s = 0.0
        self._frame_interval_s = _FIRST_STEP_S
        self._outliers: list[float] = []
        self._behind = 0

    @property
    def frame_interval_s(self) -> float:
        """Usual interval between two pictures, in seconds."""
        return self._frame_interval_s

    @property
    def last_was_outlier(self) -> bool:
        """Whether the last timestamp was an outlier: the source's other timestamps are not trusted then."""
        return bool(self._outliers)

    def is_near(self, time_s: float) -> bool:
        """Whether an output time is close to that of the current pictures."""
        return self._last_s is not None and abs(time_s - self._last_s) <= _ODD_S

    def interrupted(self) -> None:
        """Handle a lost source: the next timestamp continues the timeline by the time that has passed."""
        self.offset_s = None
        self._outliers.clear()

    def place(self, time_s: float | None, *, arrived_s: float) -> float:
        """Output time of a picture with source timestamp `time_s` that arrived at `arrived_s` (monotonic clock)."""
        if self.offset_s is None:
            return self._start_session(time_s, arrived_s)
        placed = self._expected_s if time_s is None else time_s + self.offset_s
        if time_s is not None and abs(placed - self._expected_s) > _ODD_S + self._delay(arrived_s):
            return self._handle_outlier(time_s, arrived_s)
        self._outliers.clear()
        if time_s is not None:
            self._learn(placed)
            placed = self._caught_up(placed, arrived_s)
        return self._emit(placed, arrived_s)

    def hold(self, *, now_s: float) -> float:
        """Output time of a placeholder, shown because nothing has arrived until `now_s`."""
        if self._last_s is None:  # nothing was shown yet: time starts here
            return self._emit(0.0, now_s)
        held = self._expected_s - self._frame_interval_s + (now_s - self._arrived_s)
        self._last_s = max(self._last_s + _LEAST_STEP_S, held)
        return self._last_s

    def _start_session(self, time_s: float | None, arrived_s: float) -> float:
        """Continue the timeline with a new session."""
        if self._last_s is None:
            placed = 0.0
        else:
            placed = max(self._expected_s - self._frame_interval_s + (arrived_s - self._arrived_s), self._last_s)
        self.offset_s = None if time_s is None else placed - time_s
        return self._emit(placed, arrived_s)

    def _handle_outlier(self, time_s: float, arrived_s: float) -> float:
        """Handle an outlier: an error, or the third timestamp of a new timeline."""
        fits = not self._outliers or abs(time_s - self._outliers[-1]) < _ODD_S
        self._outliers = [*self._outliers, time_s] if fits else [time_s]
        if len(self._outliers) >= _NEW_TIMELINE:
            self._outliers.clear()
            return self._start_session(time_s, arrived_s)
        self.moved += 1
        return self._emit(self._expected_s, arrived_s)

    def _emit(self, placed: float, arrived_s: float) -> float:
        """Return `placed`, or a slightly later time if a repeated picture was shown after it."""
        self._expected_s = placed + self._frame_interval_s
        self._arrived_s = arrived_s
        self._last_s = placed if self._last_s is None else max(placed, self._last_s + _LEAST_STEP_S)
        return self._last_s

    def _caught_up(self, placed: float, arrived_s: float) -> float:
        """Catch up with a source whose clock stopped for a while; a backlog that arrives at once does not count."""
        assert self._last_s is not None
        assert self.offset_s is not None
        at_pace = arrived_s - self._arrived_s > self._frame_interval_s / 2
        self._behind = self._behind + 1 if placed <= self._last_s and at_pace else 0
        if self._behind < _BEHIND:
            return placed
        self._behind = 0
        self.offset_s += self._last_s + self._frame_interval_s - placed
        return self._last_s + self._frame_interval_s

    def _delay(self, arrived_s: float) -> float:
        """How much later than usual a picture arrived: its timestamp may be later by as much."""
        return max(0.0, arrived_s - self._arrived_s)

    def _learn(self, placed: float) -> None:
        step = placed - (self._expected_s - self._frame_interval_s)
        if 0 < step < _LONGEST_STEP_S:
            self._frame_interval_s += (step - self._frame_interval_s) / 8
