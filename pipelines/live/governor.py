"""Quality gives way before time does: a slower machine gets a simpler network, not an older picture."""

from __future__ import annotations

import logging
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deepclarity.errors import DeviceError
from deepclarity.models.enhancer import Enhancer
from deepclarity.models.verdict import Plane

log = logging.getLogger(__name__)

LADDER = ("srgan", "srgan-lite", "turbo", "lanczos")
"""The tiers from best to fastest."""

_LOOK_BACK = 4
"""Frames whose median age decides."""


def rungs(tier: str) -> tuple[str, ...]:
    """The tiers that `tier` may step down to, itself first; a tier off the ladder falls to `turbo` at once."""
    if tier in LADDER:
        return LADDER[LADDER.index(tier) :]
    return (tier, *LADDER[LADDER.index("turbo") :])


class Ladder:
    """An enhancer that is one of several, from best to fastest: the one that stands at `rung`."""

    def __init__(self, enhancers: Sequence[Enhancer]) -> None:
        """`enhancers`: best first, at least one."""
        self._broken: set[int] = set()
        self.scales = _shared(enhancers)
        """The factors that all of them know."""
        self._enhancers = list(enhancers)
        self.stand_on(0)

    def __len__(self) -> int:
        return len(self._enhancers)

    def stand_on(self, rung: int) -> None:
        """Let the enhancer number `rung` work from the next picture on."""
        self.rung = rung
        self.name = self._enhancers[rung].name
        self.backend = self._enhancers[rung].backend

    @property
    def can_rise(self) -> bool:
        """Whether there is a better tier that works."""
        return self.rung > 0 and self.rung - 1 not in self._broken

    def __call__(self, luma: Plane, *, scale: int, max_value: int = 255) -> Plane:
        """Enlarge (height, width) to (height * scale, width * scale), same dtype, range 0..max_value.

        A tier whose device fails is left for good; DeviceError only from the last one.
        """
        rung = self.rung  # it may be moved meanwhile
        try:
            return self._enhancers[rung](luma, scale=scale, max_value=max_value)
        except (DeviceError, MemoryError) as error:
            if rung + 1 >= len(self):
                raise
            log.warning("tier %s failed and is left: %s", self._enhancers[rung].name, error)
            self._broken.add(rung)
            self.stand_on(rung + 1)
            return self(luma, scale=scale, max_value=max_value)

    def close(self) -> None:
        """Give back what they hold."""
        for enhancer in self._enhancers:
            enhancer.close()


def _shared(enhancers: Sequence[Enhancer]) -> tuple[int, ...]:
    first, *others = (set(one.scales) for one in enhancers)
    return tuple(sorted(first.intersection(*others)))


@dataclass(frozen=True, slots=True)
class Rule:
    """When the tier is changed."""

    target_s: float = 0.1
    """Age of a frame at the sink that is still good."""
    rest_s: float = 0.3
    """No second step down sooner."""
    warm_s: float = 1.0
    """How long the first frames may be old: networks are compiled, windows opened."""
    calm_s: float = 10.0
    """How long all must be well before a step up; doubled each time that one was taken back."""
    longest_calm_s: float = 320.0
    room: float = 0.6
    """Share of the target that the age must lie below for that."""


class Governor:
    """Watches how old frames are when they leave; steps a ladder down at once and up again with patience."""

    def __init__(self, ladder: Ladder, rule: Rule, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.steps_down = 0
        self.steps_up = 0
        self._ladder = ladder
        self._rule = rule
        self._clock = clock
        self._ages: deque[float] = deque(maxlen=_LOOK_BACK)
        self._worked: deque[bool] = deque(maxlen=_LOOK_BACK)
        self._changed_s = self._well_since_s = clock()
        self._calm_s = rule.calm_s
        self._stepped_up_s: float | None = None
        self._dropped = 0
        self._warm = False

    def saw(self, age_s: float, *, dropped: int, repaired: bool = True) -> None:
        """A frame left `age_s` after it had come.

        `dropped`: frames lost so far; `repaired`: whether the ladder worked on it. Where nothing is repaired, another
        tier would change nothing. Whether a better tier fits is not computed but tried: what it cost under another
        load tells little. A try that fails is told by the frames' age at once, and made half as often from then on.
        """
        now = self._clock()
        if not self._warm:
            self._warm = True
            self._changed_s = self._well_since_s = now + self._rule.warm_s - self._rule.rest_s
        self._ages.append(age_s)
        self._worked.append(repaired)
        lost, self._dropped = dropped > self._dropped, dropped
        late = len(self._ages) == _LOOK_BACK and statistics.median(self._ages) > self._rule.target_s
        if late or lost:
            self._well_since_s = now
            of_use = any(self._worked) and (late or age_s > self._rule.target_s)
            if of_use and now - self._changed_s >= self._rule.rest_s:
                self._down(now)
        elif age_s > self._rule.room * self._rule.target_s:
            self._well_since_s = max(self._well_since_s, now - self._calm_s / 2)
        elif now - self._well_since_s >= self._calm_s and self._ladder.can_rise:
            self._up(now)

    def _down(self, now: float) -> None:
        if self._ladder.rung + 1 >= len(self._ladder):
            return
        if self._stepped_up_s is not None and now - self._stepped_up_s < self._calm_s:
            self._calm_s = min(self._rule.longest_calm_s, 2 * self._calm_s)  # that was no good idea
        self._stepped_up_s = None
        self._step(1, now)
        self.steps_down += 1

    def _up(self, now: float) -> None:
        self._stepped_up_s = now
        self._step(-1, now)
        self.steps_up += 1

    def _step(self, way: int, now: float) -> None:
        before = self._ladder.name
        self._ladder.stand_on(self._ladder.rung + way)
        self._changed_s = self._well_since_s = now
        self._ages.clear()
        log.info("tier %s instead of %s", self._ladder.name, before)
