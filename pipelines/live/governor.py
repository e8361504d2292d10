"""Adaptive quality: steps down to a faster tier when live frames are late, and back up when there is time."""

from __future__ import annotations

import logging
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deepclarity.errors import DeviceError
from deepclarity.pipelines.executor import Executor, Pending, RepairRequest
from deepclarity.stream.frame import Planes

log = logging.getLogger(__name__)

LADDER = ("srgan", "srgan-lite", "turbo", "lanczos")
"""The tiers from best to fastest."""

_WINDOW_FRAMES = 4
"""Number of recent frames whose median age decides."""


def fallback_tiers(tier: str) -> tuple[str, ...]:
    """`tier` and the tiers it may step down to, in order; a tier that is not on the ladder steps down to `turbo`."""
    if tier in LADDER:
        return LADDER[LADDER.index(tier) :]
    return (tier, *LADDER[LADDER.index("turbo") :])


class Ladder:
    """Several executors, from best to fastest, used as one: repairs go to the executor at `rung`."""

    in_flight = 0

    def __init__(self, executors: Sequence[Executor]) -> None:
        """`executors`: at least one, best first."""
        self._broken: set[int] = set()
        self._executors = list(executors)
        self.select(0)

    def __len__(self) -> int:
        return len(self._executors)

    def select(self, rung: int) -> None:
        """Use executor number `rung` from the next frame on."""
        self.rung = rung
        self.name = self._executors[rung].name
        self.backend = self._executors[rung].backend

    @property
    def can_step_up(self) -> bool:
        """Whether the next better tier exists and has not failed."""
        return self.rung > 0 and self.rung - 1 not in self._broken

    def submit(self, request: RepairRequest) -> Pending:
        """Start a repair on the current tier.

        A tier whose device fails is disabled for good, and the next one repairs the frame; the result raises
        DeviceError only when the last tier fails.
        """
        rung = self.rung  # another thread may change it meanwhile
        return _OnRung(self, request, rung, self._executors[rung].submit(request))

    def flush(self) -> None:
        """Start what is queued."""
        for executor in self._executors:
            executor.flush()

    def disable(self, rung: int, error: Exception) -> None:
        """Never use executor number `rung` again; use the next one."""
        log.warning("tier %s failed and is disabled: %s", self._executors[rung].name, error)
        self._broken.add(rung)
        self.select(rung + 1)

    def close(self) -> None:
        """Close all executors."""
        for executor in self._executors:
            executor.close()


@dataclass(frozen=True, slots=True)
class _OnRung:
    """A repair under way on one tier."""

    ladder: Ladder
    request: RepairRequest
    rung: int
    pending: Pending

    def result(self) -> Planes:
        """Wait for the planes; repaired by the next tier if this one fails."""
        try:
            return self.pending.result()
        except (DeviceError, MemoryError) as error:
            if self.rung + 1 >= len(self.ladder):
                raise
            self.ladder.disable(self.rung, error)
        return self.ladder.submit(self.request).result()


@dataclass(frozen=True, slots=True)
class GovernorSettings:
    """When the tier is changed."""

    target_s: float = 0.1
    """Highest acceptable age of a frame at the sink."""
    cooldown_s: float = 0.3
    """Minimum time from any change to the next step down."""
    warm_up_s: float = 1.0
    """How long the first frames may be late: networks are being compiled, windows opened."""
    stable_s: float = 10.0
    """How long frames must be on time before a step up; doubled whenever a step up had to be undone."""
    max_stable_s: float = 320.0
    """Upper limit of that doubling."""
    headroom: float = 0.6
    """A step up requires ages below this share of `target_s`."""


class Governor:
    """Watches the age of frames at the sink; steps down the ladder at once, and up again only after a stable period."""

    def __init__(
        self, ladder: Ladder, settings: GovernorSettings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.steps_down = 0
        self.steps_up = 0
        self._ladder = ladder
        self._settings = settings
        self._clock = clock
        self._ages: deque[float] = deque(maxlen=_WINDOW_FRAMES)
        self._recent_repairs: deque[bool] = deque(maxlen=_WINDOW_FRAMES)
        self._changed_s = self._on_time_since_s = clock()
        self._stable_s = settings.stable_s
        self._stepped_up_s: float | None = None
        self._dropped = 0
        self._started = False

    def observe(self, age_s: float, *, dropped: int, repaired: bool = True) -> None:
        """Take note of a frame that reached the sink `age_s` after it arrived, and change the tier if necessary.

        `dropped`: frames dropped so far; `repaired`: whether the ladder was used for this frame. If nothing is
        repaired, another tier makes no difference. Whether a better tier is fast enough is not predicted but tried:
        what it cost under another load is a poor estimate. A failed try shows in the frames' age at once, and
        halves how often a step up is tried.
        """
        now = self._clock()
        if not self._started:
            self._started = True
            self._changed_s = self._on_time_since_s = now + self._settings.warm_up_s - self._settings.cooldown_s
        self._ages.append(age_s)
        self._recent_repairs.append(repaired)
        drops, self._dropped = dropped > self._dropped, dropped
        late = len(self._ages) == _WINDOW_FRAMES and statistics.median(self._ages) > self._settings.target_s
        if late or drops:
            self._on_time_since_s = now
            helps = any(self._recent_repairs) and (late or age_s > self._settings.target_s)
            if helps and now - self._changed_s >= self._settings.cooldown_s:
                self._step_down(now)
        elif age_s > self._settings.headroom * self._settings.target_s:
            self._on_time_since_s = max(self._on_time_since_s, now - self._stable_s / 2)
        elif now - self._on_time_since_s >= self._stable_s and self._ladder.can_step_up:
            self._step_up(now)

    def _step_down(self, now: float) -> None:
        if self._ladder.rung + 1 >= len(self._ladder):
            return
        if self._stepped_up_s is not None and now - self._stepped_up_s < self._stable_s:
            self._stable_s = min(self._settings.max_stable_s, 2 * self._stable_s)  # the step up was a mistake
        self._stepped_up_s = None
        self._step(1, now)
        self.steps_down += 1

    def _step_up(self, now: float) -> None:
        self._stepped_up_s = now
        self._step(-1, now)
        self.steps_up += 1

    def _step(self, offset: int, now: float) -> None:
        before = self._ladder.name
        self._ladder.select(self._ladder.rung + offset)
        self._changed_s = self._on_time_since_s = now
        self._ages.clear()
        log.info("switched from tier %s to %s", before, self._ladder.name)
