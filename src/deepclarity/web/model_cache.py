"""Detectors and enhancers, loaded when first asked for and kept."""

from __future__ import annotations

from functools import cache

import numpy as np

from deepclarity.models.detectors import DEFAULT_DETECTOR, DETECTORS, load_detector
from deepclarity.models.enhancer import Enhancer
from deepclarity.models.load import available_models, load_enhancer
from deepclarity.models.verdict import Detector, Plane

from .messages import RefusedError

_TILE_PX, _OVERLAP_PX = 640, 32
_KEPT = 3


class ModelCache:
    """What the tabs share. Detectors may be used by several threads at once, an enhancer by one."""

    def __init__(self, *, device: str = "auto") -> None:
        self.device = device
        self._detectors: dict[str, Detector] = {}
        self._enhancers: dict[str, Enhancer] = {}

    def detector(self, name: object) -> Detector:
        """The detector of a method; RefusedError for a name that is none."""
        if not isinstance(name, str) or name not in DETECTORS:
            raise RefusedError(f"There is no such method. Choose one of {', '.join(DETECTORS)}.")
        if name not in self._detectors:
            self._detectors[name] = load_detector(name)
        return self._detectors[name]

    def enhancer(self, name: object) -> Enhancer:
        """A tier's enhancer, which takes pictures of any size in bounded memory."""
        if not isinstance(name, str) or name not in tiers():
            raise RefusedError(f"There is no such tier. Choose one of {', '.join(tiers())}.")
        if name not in self._enhancers:
            while len(self._enhancers) >= _KEPT:
                self._enhancers.pop(next(iter(self._enhancers))).close()
            self._enhancers[name] = Tiled(load_enhancer(name, device=self.device))
        return self._enhancers[name]

    def warm(self) -> None:
        """Load what most visitors ask for first."""
        self.detector(DEFAULT_DETECTOR)(np.zeros((256, 256), np.uint8))

    def close(self) -> None:
        """Give back what the device holds."""
        for enhancer in self._enhancers.values():
            enhancer.close()
        self._enhancers.clear()


@cache
def tiers() -> list[str]:
    """The tiers that people choose from: the twins for comparison with the literature are left out."""
    return [m.name for m in available_models() if m.kind == "enhancer" and not m.name.endswith("-bicubic")]


class Tiled:
    """An enhancer that works on large pictures piece by piece, each with some of its surroundings."""

    def __init__(self, enhancer: Enhancer) -> None:
        self._enhancer = enhancer
        self.name, self.backend, self.scales = enhancer.name, enhancer.backend, enhancer.scales

    def __call__(self, luma: Plane, *, scale: int, max_value: int = 255) -> Plane:
        """As every enhancer: (height, width) to (height * scale, width * scale)."""
        height, width = luma.shape
        if max(height, width) <= _TILE_PX + 2 * _OVERLAP_PX:
            return self._enhancer(luma, scale=scale, max_value=max_value)
        large = np.empty((height * scale, width * scale), luma.dtype)
        for top, bottom, first_row, last_row in _pieces(height):
            for left, right, first, last in _pieces(width):
                part: Plane = np.ascontiguousarray(luma[first_row:last_row, first:last])  # type: ignore[assignment]
                done = self._enhancer(part, scale=scale, max_value=max_value)
                inner = done[
                    (top - first_row) * scale : (bottom - first_row) * scale,
                    (left - first) * scale : (right - first) * scale,
                ]
                large[top * scale : bottom * scale, left * scale : right * scale] = inner
        return large

    def close(self) -> None:
        """Give back what the device holds."""
        self._enhancer.close()


def _pieces(length: int) -> list[tuple[int, int, int, int]]:
    """(begin, end, begin with surroundings, end with surroundings); all but small pictures in pieces of one size."""
    window = _TILE_PX + 2 * _OVERLAP_PX
    if length <= window:
        return [(0, length, 0, length)]
    count = -(-length // _TILE_PX)
    cuts = [length * number // count for number in range(count + 1)]
    starts = [min(max(0, begin - _OVERLAP_PX), length - window) for begin in cuts[:-1]]
    return [(begin, end, at, at + window) for begin, end, at in zip(cuts[:-1], cuts[1:], starts, strict=True)]
