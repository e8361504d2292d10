"""Features of a picture's fine structure: spectrum, gradients, and what repeats with a codec's blocks, along each axis.

A smooth enlargement has an empty upper spectrum; a coarse quantiser leaves flat runs within its blocks, few small
gradients, and steps between blocks.
"""

from __future__ import annotations

from functools import lru_cache
from typing import cast

import cv2
import numpy as np

from deepclarity.models.detectors.profiles import as_bytes
from deepclarity.models.verdict import Bytes, Plane

from .periodicity import Floats

SEGMENT_PX = 256
"""Samples of one segment: a row or a column of the picture in part. Shorter sides are mirrored."""
MIN_SIDE_PX = 64
BINS = SEGMENT_PX // 2
_BUSY, _LINES = 96, 8
"""Of the segments, drawn from bundles of adjacent lines, only the busiest count."""
_BUNDLES = 24
_GRID = 16
_BOUNDS = np.array([0, 1, 2, 4, 8, 16], np.uint8)
"""Upper bounds of the classes of gradients, in levels."""
_RUNS = (4, 8, 16)
_FLOOR = 1e-2

_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)

FEATURES = 2 * BINS + 2 * _BOUNDS.size + _GRID + 2 * len(_RUNS) + 2 * len(_QUANTILES) + 1


def axis_features(luma: Plane, *, max_value: int = 255) -> Floats | None:
    """The features along x and y of `luma`, (height, width) in 0..max_value: (2, FEATURES); None if it is too small."""
    if min(luma.shape) < MIN_SIDE_PX:
        return None
    across = _segments(luma, max_value)
    down = _segments(luma.T, max_value)
    return np.stack([_features(across), _features(down)])


def _segments(luma: Plane, max_value: int) -> Bytes:
    """Bundles of rows spread over the picture, each row from a multiple of 16 samples on: (segments, 256)."""
    height, width = luma.shape
    tops, lefts = _positions(height, width)
    found = np.empty((len(tops), _LINES, min(width, SEGMENT_PX)), np.uint8)
    for bundle, top, left in zip(found, tops, lefts, strict=True):
        part = np.ascontiguousarray(luma[top : top + _LINES, left : left + SEGMENT_PX])
        bundle[:] = as_bytes(cast("Plane", part), max_value)
    rows = found.reshape(-1, found.shape[-1])
    if width < SEGMENT_PX:
        rows = np.pad(rows, ((0, 0), (0, SEGMENT_PX - width)), mode="symmetric")
    return rows


@lru_cache(maxsize=32)
def _positions(height: int, width: int) -> tuple[list[int], list[int]]:
    """Tops and lefts of the bundles: at even distances over the height, in turn over the width."""
    places = max(1, min(6, width // SEGMENT_PX))
    tops = [int((height - _LINES) * (i + 0.5) / _BUNDLES) for i in range(_BUNDLES)]
    spare = max(0, width - SEGMENT_PX)
    lefts = [int(spare * ((i * 5 % places + 0.5) / places)) // _GRID * _GRID for i in range(_BUNDLES)]
    return tops, lefts


def _features(segments: Bytes) -> Floats:
    steps = cast("Bytes", cv2.absdiff(segments[:, 1:], segments[:, :-1]))
    activity = cv2.reduce(np.minimum(steps, 32), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32F)[:, 0]
    busy = np.sort(np.argpartition(-activity, _BUSY - 1)[:_BUSY])
    segments, steps = segments[busy], steps[busy]
    bends = np.abs(np.diff(segments.astype(np.int16), n=2, axis=1))
    return np.concatenate(
        [
            _spectrum(segments),
            _classes(steps),
            _classes(np.minimum(bends, 255).astype(np.uint8)),
            _on_grid(steps),
            _flat_runs(steps),
            _activity(steps),
            np.log(steps.mean(dtype=np.float32) + np.float32(_FLOOR)).reshape(1),
        ]
    ).astype(np.float32)


def _spectrum(segments: Bytes) -> Floats:
    """Log of the mean power, and mean of the log power, by frequency: (2 * BINS,)."""
    window, mean = _window(), segments.mean(axis=1, dtype=np.float32, keepdims=True)
    waves = np.fft.rfft((segments - mean) * window, axis=1)[:, 1:]
    power = (waves.real**2 + waves.imag**2).astype(np.float32)
    return np.concatenate([np.log(power.mean(axis=0) + _FLOOR), np.log(power + _FLOOR).mean(axis=0)])


@lru_cache(maxsize=1)
def _window() -> Floats:
    """A Hann window of unit power."""
    window = np.hanning(SEGMENT_PX + 1)[:-1].astype(np.float32)
    scaled: Floats = window / np.float32(np.sqrt((window**2).sum()))
    return scaled


def _classes(values: Bytes) -> Floats:
    """The shares of values up to each bound: (bounds,)."""
    counts = np.bincount(values.reshape(-1), minlength=256).cumsum()
    shares: Floats = (counts[_BOUNDS] / np.float32(counts[-1])).astype(np.float32)
    return shares


def _on_grid(steps: Bytes) -> Floats:
    """The mean clipped gradient before each of 16 samples in turn, over the mean of all, as a log: (16,)."""
    inner = np.minimum(steps, 15)
    sums = np.zeros(_GRID, np.float32)
    columns = inner.mean(axis=0, dtype=np.float32)
    for offset in range(_GRID):  # the gradient at i lies before sample i + 1
        sums[offset] = columns[(offset - 1) % _GRID :: _GRID].mean()
    result: Floats = np.log((sums + np.float32(0.05)) / (sums.mean() + np.float32(0.05)))
    return result


def _flat_runs(steps: Bytes) -> Floats:
    """The shares of blocks of 4, 8 and 16 samples without any gradient, and with none above 1: (6,)."""
    padded = np.pad(steps, ((0, 0), (1, 0)))
    found = []
    for run in _RUNS:
        highest = padded.reshape(-1, run)[:, 1:].max(axis=1)
        found += [float((highest == 0).mean()), float((highest <= 1).mean())]
    return np.array(found, np.float32)


def _activity(steps: Bytes) -> Floats:
    """Quantiles of the mean gradient, as a log, within blocks of 8 samples and within those half-way: (10,)."""
    padded = np.pad(steps, ((0, 0), (1, 0)))
    found = []
    for runs in (padded, padded[:, 4:-4]):
        means = np.sort(runs.reshape(-1, 8)[:, 1:].mean(axis=1, dtype=np.float32))
        at = [int(share * means.size) for share in _QUANTILES]
        found.append(np.log(means[at] + np.float32(0.05)))
    return np.concatenate(found)
