"""Maps a live source's timestamps onto one strictly increasing output timeline."""

from __future__ import annotations

_NEW_TIMELINE_COUNT = 3
"""This many consecutive outliers that agree with each other are a new timeline, not errors."""
_OUTLIER_S = 2.0
"""A timestamp this far from the expected one is an outlier."""
_MIN_STEP_S = 0.001
_INITIAL_INTERVAL_S = 1 / 30
_MAX_INTERVAL_S = 10.0
_MAX_LATE_COUNT = 10
"""After this many consecutive late pictures at the usual pace, the source's clock must have stopped for a while."""


class Timeline:
    """Maps a source's timestamps, in seconds, to ones that increase strictly and never jump.

    A single outlier is moved next to its neighbours. After an interruption, or when the source starts a new timeline,
    output time advances by the time elapsed on the monotonic clock.
    """

    def __init__(self) -> None:
        self.corrected = 0
        """Number of outliers moved next to their neighbours."""
        self._offset_s: float | None = None
        """Output time minus source time; None before the first timestamp of a session."""
        self._last_s: float | None = None
        self._expected_s = 0.0
        self._arrived_s = 0.0
        self._frame_interval_s = _INITIAL_INTERVAL_S
        self._outliers: list[float] = []
        self._late_count = 0

    @property
    def frame_interval_s(self) -> float:
        """Smoothed interval between two pictures, in seconds."""
        return self._frame_interval_s

    def interrupted(self) -> None:
        """End the session: the next timestamp continues the timeline after the time that has elapsed."""
        self._offset_s = None
        self._outliers.clear()

    def output_time(self, time_s: float | None, *, arrived_s: float) -> float:
        """Output time of a picture with source timestamp `time_s` that arrived at `arrived_s` (monotonic clock)."""
        if self._offset_s is None:
            return self._start_session(time_s, arrived_s)
        output_s = self._expected_s if time_s is None else time_s + self._offset_s
        if time_s is not None and abs(output_s - self._expected_s) > _OUTLIER_S + self._since_last_arrival(arrived_s):
            return self._handle_outlier(time_s, arrived_s)
        self._outliers.clear()
        if time_s is not None:
            self._update_interval(output_s)
            output_s = self._catch_up(output_s, arrived_s)
        return self._emit(output_s, arrived_s)

    def audio_time(self, time_s: float) -> float | None:
        """Output time of audio with source timestamp `time_s`; None if it does not fit the current pictures.

        After an outlier, the source's audio timestamps are not trusted either.
        """
        if self._offset_s is None or self._last_s is None or self._outliers:
            return None
        output_s = time_s + self._offset_s
        return output_s if abs(output_s - self._last_s) <= _OUTLIER_S else None

    def placeholder_time(self, *, now_s: float) -> float:
        """Output time of a placeholder shown at `now_s` (monotonic clock)."""
        if self._last_s is None:  # the first output: the timeline starts here
            return self._emit(0.0, now_s)
        output_s = self._expected_s - self._frame_interval_s + (now_s - self._arrived_s)
        self._last_s = max(self._last_s + _MIN_STEP_S, output_s)
        return self._last_s

    def _start_session(self, time_s: float | None, arrived_s: float) -> float:
        """Continue the timeline with the first timestamp of a new session."""
        if self._last_s is None:
            output_s = 0.0
        else:
            output_s = max(self._expected_s - self._frame_interval_s + (arrived_s - self._arrived_s), self._last_s)
        self._offset_s = None if time_s is None else output_s - time_s
        return self._emit(output_s, arrived_s)

    def _handle_outlier(self, time_s: float, arrived_s: float) -> float:
        """Output time of an outlier: corrected, or accepted as the third timestamp of a new timeline."""
        agrees = not self._outliers or abs(time_s - self._outliers[-1]) < _OUTLIER_S
        self._outliers = [*self._outliers, time_s] if agrees else [time_s]
        if len(self._outliers) >= _NEW_TIMELINE_COUNT:
            self._outliers.clear()
            return self._start_session(time_s, arrived_s)
        self.corrected += 1
        return self._emit(self._expected_s, arrived_s)

    def _emit(self, output_s: float, arrived_s: float) -> float:
        """Record and return `output_s`, or a slightly later time if a placeholder already has that time."""
        self._expected_s = output_s + self._frame_interval_s
        self._arrived_s = arrived_s
        self._last_s = output_s if self._last_s is None else max(output_s, self._last_s + _MIN_STEP_S)
        return self._last_s

    def _catch_up(self, output_s: float, arrived_s: float) -> float:
        """Catch up if the source's clock stopped for a while; a backlog that arrives at once does not count."""
        assert self._last_s is not None
        assert self._offset_s is not None
        at_usual_pace = arrived_s - self._arrived_s > self._frame_interval_s / 2
        self._late_count = self._late_count + 1 if output_s <= self._last_s and at_usual_pace else 0
        if self._late_count < _MAX_LATE_COUNT:
            return output_s
        self._late_count = 0
        self._offset_s += self._last_s + self._frame_interval_s - output_s
        return self._last_s + self._frame_interval_s

    def _since_last_arrival(self, arrived_s: float) -> float:
        """Time since the previous picture arrived, in seconds: the timestamp may be later by as much."""
        return max(0.0, arrived_s - self._arrived_s)

    def _update_interval(self, output_s: float) -> None:
        step = output_s - (self._expected_s - self._frame_interval_s)
        if 0 < step < _MAX_INTERVAL_S:
            self._frame_interval_s += (step - self._frame_interval_s) / 8
