"""Maps a live source's timestamps onto one strictly increasing output timeline."""

from __future__ import annotations

_NEW_TIMELINE = 3
"""So many odd times in a row that fit each other are no mistake: the source has begun to count anew."""
_ODD_S = 2.0
"""A time this far from what was expected is odd."""
_LEAST_STEP_S = 0.001
_FIRST_STEP_S = 1 / 30
_LONGEST_STEP_S = 10.0
_BEHIND = 10
"""So many pictures in a row behind what was shown, at the usual pace, and the source's clock has stood still."""


class Timeline:
    """Turns a source's times, in seconds, into ones that rise strictly and never jump.

    A single odd time is put beside its neighbours. After an interruption, or when the source counts anew, times go on
    after as long as has really passed, by a clock that nobody sets.
    """

    def __init__(self) -> None:
        self.moved = 0
        """Times that were odd and were put beside their neighbours."""
        self.offset_s: float | None = None
        """Our time minus the source's; None until its first time is known. Sound is shifted by the same."""
        self._last_s: float | None = None
        self._expected_s = 0.0
        self._arrived_s = 0.0
        self._frame_interval_s = _FIRST_STEP_S
        self._odd: list[float] = []
        self._behind = 0

    @property
    def frame_interval_s(self) -> float:
        """The usual distance of two pictures."""
        return self._frame_interval_s

    @property
    def is_odd(self) -> bool:
        """Whether the last time did not fit: what else the source says of time is not to be trusted now."""
        return bool(self._odd)

    def is_near(self, time_s: float) -> bool:
        """Whether a time, on our clock, lies near the pictures that are shown now."""
        return self._last_s is not None and abs(time_s - self._last_s) <= _ODD_S

    def interrupted(self) -> None:
        """The source was lost: whatever time comes next joins on after as long as has passed."""
        self.offset_s = None
        self._odd.clear()

    def place(self, time_s: float | None, *, arrived_s: float) -> float:
        """When to show a picture that the source stamps `time_s` and that came at `arrived_s`, a monotonic clock's."""
        if self.offset_s is None:
            return self._begin(time_s, arrived_s)
        placed = self._expected_s if time_s is None else time_s + self.offset_s
        if time_s is not None and abs(placed - self._expected_s) > _ODD_S + self._pause(arrived_s):
            return self._odd_one(time_s, arrived_s)
        self._odd.clear()
        if time_s is not None:
            self._learn(placed)
            placed = self._caught_up(placed, arrived_s)
        return self._given(placed, arrived_s)

    def hold(self, *, now_s: float) -> float:
        """When to show the last picture once more, nothing having come until `now_s`."""
        if self._last_s is None:  # nothing was ever shown: time begins here
            return self._given(0.0, now_s)
        held = self._expected_s - self._frame_interval_s + (now_s - self._arrived_s)
        self._last_s = max(self._last_s + _LEAST_STEP_S, held)
        return self._last_s

    def _begin(self, time_s: float | None, arrived_s: float) -> float:
        """Join a new session on."""
        if self._last_s is None:
            placed = 0.0
        else:
            placed = max(self._expected_s - self._frame_interval_s + (arrived_s - self._arrived_s), self._last_s)
        self.offset_s = None if time_s is None else placed - time_s
        return self._given(placed, arrived_s)

    def _odd_one(self, time_s: float, arrived_s: float) -> float:
        """A time that does not fit: a mistake, or the third of a new count."""
        fits = not self._odd or abs(time_s - self._odd[-1]) < _ODD_S
        self._odd = [*self._odd, time_s] if fits else [time_s]
        if len(self._odd) >= _NEW_TIMELINE:
            self._odd.clear()
            return self._begin(time_s, arrived_s)
        self.moved += 1
        return self._given(self._expected_s, arrived_s)

    def _given(self, placed: float, arrived_s: float) -> float:
        """Give `placed` out, or the next moment where the last picture was held beyond it."""
        self._expected_s = placed + self._frame_interval_s
        self._arrived_s = arrived_s
        self._last_s = placed if self._last_s is None else max(placed, self._last_s + _LEAST_STEP_S)
        return self._last_s

    def _caught_up(self, placed: float, arrived_s: float) -> float:
        """Move on with a source whose clock stood still while time passed; a backlog that comes at once is none."""
        assert self._last_s is not None
        assert self.offset_s is not None
        at_pace = arrived_s - self._arrived_s > self._frame_interval_s / 2
        self._behind = self._behind + 1 if placed <= self._last_s and at_pace else 0
        if self._behind < _BEHIND:
            return placed
        self._behind = 0
        self.offset_s += self._last_s + self._frame_interval_s - placed
        return self._last_s + self._frame_interval_s

    def _pause(self, arrived_s: float) -> float:
        """How much later than usual a picture came: its time may be as much later."""
        return max(0.0, arrived_s - self._arrived_s)

    def _learn(self, placed: float) -> None:
        step = placed - (self._expected_s - self._frame_interval_s)
        if 0 < step < _LONGEST_STEP_S:
            self._frame_interval_s += (step - self._frame_interval_s) / 8
