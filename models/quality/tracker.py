"""Quality of the frames of a video: estimated now and then, steady within a scene."""

from __future__ import annotations

from deepclarity.models.verdict import Plane

from .network import Quality, QualityNetwork

_EVERY = 12
"""Frames from one estimate to the next: the quality of a scene hardly changes, and an estimate takes longer than a
verdict on blocks."""


class QualityTracker:
    """The quality of consecutive frames: the kind changes within a scene when two estimates in a row agree."""

    def __init__(self, network: QualityNetwork) -> None:
        self._network = network
        self._current: Quality | None = None
        self._doubt: Quality | None = None
        """The last estimate, if it was of another kind than the current one."""
        self._age = 0

    def start_scene(self) -> None:
        """Forget the last scene."""
        self._current, self._doubt, self._age = None, None, 0

    def next(self, luma: Plane, *, max_value: int) -> Quality | None:
        """The quality of the next frame of the scene. Arguments as for `QualityNetwork`."""
        if self._age % _EVERY == 0:
            self._take(self._network(luma, max_value=max_value))
        self._age += 1
        return self._current

    def _take(self, found: Quality | None) -> None:
        current, doubt = self._current, self._doubt
        if found is None or current is None or found.kind is current.kind:
            # Steady factors: the picture must not change its size from one estimate to the next.
            keep = found is not None and current is not None and current.factors is not None
            self._current, self._doubt = current if keep else found, None
        elif doubt is not None and doubt.kind is found.kind:
            self._current, self._doubt = found, None
        else:
            self._doubt = found
