"""Cache of detectors and enhancers, which are loaded on first use."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from deepclarity.models.detectors import DEFAULT_DETECTOR, DETECTORS, load_detector
from deepclarity.models.enhancer import Enhancer
from deepclarity.models.external.catalogue import model_files
from deepclarity.models.external.enhancer import ExternalEnhancer
from deepclarity.models.load import available_models, load_enhancer
from deepclarity.models.verdict import Detector, Plane

from .errors import RefusedError

_TILE_PX, _OVERLAP_PX = 640, 32
_MAX_ENHANCERS = 3


@dataclass(frozen=True, slots=True)
class Tiers:
    """The tiers that users may choose: those that ship, and the model files of one folder."""

    files: Mapping[str, Path] = field(default_factory=dict)
    """Path of each model file by the name under which it is offered."""

    @classmethod
    def with_folder(cls, folder: Path | None) -> Tiers:
        """Offer the model files that are in `folder` now; UsageError if it does not exist."""
        return cls({path.name: path.resolve() for path in model_files(folder)} if folder else {})

    @property
    def names(self) -> list[str]:
        """All names, those that ship first."""
        return [*available_tiers(), *self.files]

    def model_of(self, name: object, *, auto: bool = False) -> str:
        """What to load for a name in a request; RefusedError for any that is not offered. `auto`: whether that is."""
        names = ["auto", *self.names] if auto else self.names
        if not isinstance(name, str) or name not in names:
            raise RefusedError(f"There is no such tier. Choose one of {', '.join(names)}.")
        return str(self.files[name]) if name in self.files else name


class ModelCache:
    """Models that all tabs share. A detector may be used by several threads at once, an enhancer by only one."""

    def __init__(self, *, device: str = "auto", tiers: Tiers | None = None) -> None:
        self.device = device
        self.tiers = tiers or Tiers()
        self.exclusive = threading.Lock()
        """Held while an enhancer is fetched and used: it serves one thread, and is closed when there are too many."""
        self.drawing = threading.Lock()
        """Held while a picture is drawn on request, so that it is drawn once, and few are in memory."""
        self._detectors: dict[str, Detector] = {}
        self._enhancers: dict[str, Enhancer] = {}

    def detector(self, name: object) -> Detector:
        """The detector of a method; RefusedError for an unknown name."""
        if not isinstance(name, str) or name not in DETECTORS:
            raise RefusedError(f"There is no such method. Choose one of {', '.join(DETECTORS)}.")
        if name not in self._detectors:
            self._detectors[name] = load_detector(name)
        return self._detectors[name]

    def enhancer(self, name: object) -> Enhancer:
        """The enhancer of a tier, tiled so that memory stays bounded; RefusedError for an unknown name."""
        model, name = self.tiers.model_of(name), str(name)
        if name not in self._enhancers:
            while len(self._enhancers) >= _MAX_ENHANCERS:
                self._enhancers.pop(next(iter(self._enhancers))).close()
            loaded = load_enhancer(model, device=self.device)
            # A model file runs in tiles of its own, of luma and chroma together.
            self._enhancers[name] = loaded if isinstance(loaded, ExternalEnhancer) else TiledEnhancer(loaded)
        return self._enhancers[name]

    def warm_up(self) -> None:
        """Load the default detector and run it once."""
        self.detector(DEFAULT_DETECTOR)(np.zeros((256, 256), np.uint8))

    def close(self) -> None:
        """Release device memory."""
        for enhancer in self._enhancers.values():
            enhancer.close()
        self._enhancers.clear()


@cache
def available_tiers() -> list[str]:
    """The tiers offered to users, without the `-bicubic` variants, which exist for comparison with the literature."""
    return [
        model.name for model in available_models() if model.kind == "enhancer" and not model.name.endswith("-bicubic")
    ]


class TiledEnhancer:
    """An enhancer that processes large pictures in overlapping tiles."""

    def __init__(self, enhancer: Enhancer) -> None:
        self._enhancer = enhancer
        self.name, self.backend, self.scales = enhancer.name, enhancer.backend, enhancer.scales

    def __call__(self, luma: Plane, *, scale: int, max_value: int = 255) -> Plane:
        """Enlarge luma (height, width) to (height * scale, width * scale), like any enhancer."""
        height, width = luma.shape
        if max(height, width) <= _TILE_PX + 2 * _OVERLAP_PX:
            return self._enhancer(luma, scale=scale, max_value=max_value)
        output = np.empty((height * scale, width * scale), luma.dtype)
        for top, bottom, tile_top, tile_bottom in _tiles(height):
            for left, right, tile_left, tile_right in _tiles(width):
                tile: Plane = np.ascontiguousarray(luma[tile_top:tile_bottom, tile_left:tile_right])  # type: ignore[assignment]
                enlarged = self._enhancer(tile, scale=scale, max_value=max_value)
                inner = enlarged[
                    (top - tile_top) * scale : (bottom - tile_top) * scale,
                    (left - tile_left) * scale : (right - tile_left) * scale,
                ]
                output[top * scale : bottom * scale, left * scale : right * scale] = inner
        return output

    def close(self) -> None:
        """Release device memory."""
        self._enhancer.close()


def _tiles(length: int) -> list[tuple[int, int, int, int]]:
    """(start, end, start with overlap, end with overlap) along one axis; tiles with overlap all have the same size."""
    window = _TILE_PX + 2 * _OVERLAP_PX
    if length <= window:
        return [(0, length, 0, length)]
    count = -(-length // _TILE_PX)
    edges = [length * number // count for number in range(count + 1)]
    starts = [min(max(0, edge - _OVERLAP_PX), length - window) for edge in edges[:-1]]
    return [(begin, end, at, at + window) for begin, end, at in zip(edges[:-1], edges[1:], starts, strict=True)]
