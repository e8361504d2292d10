"""The factor of a smooth enlargement by what interpolation leaves behind along an axis.

Interpolated samples are smoother than those between them that were there before: the size of second differences repeats
with the factor (Gallagher, "Detection of linear and cubic interpolation in JPEG compressed images", CRV 2005).
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from deepclarity.models.detectors.lattice import remove_codec_period
from deepclarity.models.detectors.profiles import as_bytes
from deepclarity.models.verdict import Plane

Floats = NDArray[np.float32]

_LINES = 240
_CLIP_LEVELS = 8
_HIGH_PASS_PX = 33
_BAND = 0.75, 1.33
"""Factors to search, as shares of the expected one."""
_EXPECTED_WITHIN = 0.1
"""Standard deviation of the expected factor, as a share."""
_MIN_RATIO = 4.0
"""How far a line must exceed the median of its band, once weighted by its distance from the expected factor."""
_CODEC_PX = 16
_USUAL_FACTORS = np.array([1.5, 2, 2.25, 2.5, 8 / 3, 3, 4, 4.5, 6])
_USUAL_WITHIN = 0.15


def refine_factor(luma: Plane, expected: float, *, max_value: int = 255) -> float:
    """The factor by which the rows of `luma`, (height, width) in 0..max_value, were enlarged; `expected`: roughly.

    Factors whose lines coincide with those of a codec's blocks, and lines too faint, give the nearest usual factor.
    """
    profile = remove_codec_period(_profile(luma, max_value))
    size = 4 << (profile.size - 1).bit_length()
    spectrum = np.abs(np.fft.rfft(profile * np.hanning(profile.size), size)).astype(np.float32)
    line = _line(spectrum, 1 / expected, size, profile.size)
    if line is not None:
        return 1 / line
    nearest = float(_USUAL_FACTORS[np.abs(np.log(_USUAL_FACTORS / expected)).argmin()])
    return nearest if abs(nearest / expected - 1) < _USUAL_WITHIN else expected


def _profile(luma: Plane, max_value: int) -> Floats:
    """Mean second differences by column, without what varies slowly: (width - 2,)."""
    rows = luma[:: max(1, luma.shape[0] // _LINES)]
    samples = as_bytes(cast("Plane", np.ascontiguousarray(rows)), max_value).astype(np.int16)
    bends = np.minimum(np.abs(samples[:, 2:] - 2 * samples[:, 1:-1] + samples[:, :-2]), _CLIP_LEVELS)
    means = bends.mean(axis=0, dtype=np.float32)
    detail: Floats = means - cv2.blur(means.reshape(1, -1), (min(_HIGH_PASS_PX, means.size), 1))[0]
    return detail


def _line(spectrum: Floats, frequency: float, size: int, length: int) -> float | None:
    """The line that stands out most near `frequency`, in cycles per sample; None if none does."""
    bins = np.arange(int(_BAND[0] * frequency * size), int(_BAND[1] * frequency * size) + 1)
    mirrored = np.where(bins <= size // 2, bins, size - bins)  # lines above half a cycle are seen below it
    band = spectrum[np.clip(mirrored, 0, size // 2)]
    rounds = bins * (_CODEC_PX / size)
    free = np.abs(rounds - np.rint(rounds)) * (size / _CODEC_PX) > size / length
    weight = np.exp(-0.5 * (np.log(bins / (frequency * size)) / _EXPECTED_WITHIN) ** 2)
    weighted = np.where(free, band * weight, 0)
    best = int(weighted.argmax())
    return float(bins[best]) / size if weighted[best] > _MIN_RATIO * float(np.median(band)) else None
