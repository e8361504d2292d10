"""Quality of the frames of a video: estimated now and then, steady within a scene."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from statistics import median

from deepclarity.models.verdict import Kind, Plane

from .network import Quality, QualityNetwork

_EVERY = 12
"""Frames from one estimate to the next: the quality of a scene hardly changes, and an estimate takes longer than a
verdict on blocks."""


_MEMORY = 8
"""Estimates of a scene that count together."""


class QualityTracker:
    """The quality of consecutive frames: the evidence of a scene adds up, and its factors stay the same."""

    def __init__(self, network: QualityNetwork) -> None:
        self._network = network
        self._logits: deque[tuple[float, float, float]] = deque(maxlen=_MEMORY)
        self._qps: deque[float] = deque(maxlen=_MEMORY)
        self._current: Quality | None = None
        self._factors: tuple[float, float] | None = None
        self._age = 0

    def start_scene(self) -> None:
        """Forget the last scene."""
        self._logits.clear()
        self._qps.clear()
        self._current, self._factors, self._age = None, None, 0

    def next(self, luma: Plane, *, max_value: int) -> Quality | None:
        """The quality of the next frame of the scene. Arguments as for `QualityNetwork`."""
        if self._age % _EVERY == 0:
            found = self._network(luma, max_value=max_value)
            self._current = None if found is None else self._joined(found)
        self._age += 1
        return self._current

    def _joined(self, found: Quality) -> Quality:
        """`found` with the evidence of the scene so far."""
        self._logits.append(found.logits)
        self._qps.append(found.qp)
        self._factors = self._factors or found.factors
        kind = self._network.kind_of(list(self._logits))
        if kind is Kind.SOFT and self._factors is None:
            kind = Kind.CLEAN
        factors = self._factors if kind is Kind.SOFT else None
        return replace(found, kind=kind, qp=median(self._qps), factors=factors)
