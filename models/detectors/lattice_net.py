"""The default method: the best lattice that the steps of luma speak for, and a small network that looks at it.

The network is shown eight pieces of the picture at its own resolution, with the edges of that lattice marked, and
numbers on how well it explains the whole picture. So it tells blocks from codecs, grids, screens and pixel art.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from math import exp

import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import DeviceError, WeightsError
from deepclarity.models.backends.checks import check_luma
from deepclarity.models.generator import Tensors
from deepclarity.models.verdict import Blocks, Chroma, Kind, Plane, Verdict
from deepclarity.models.weights import load_weights

from .crops import EVIDENCE, Look, look
from .lattice import FIT_EXPECTED
from .profiles import gradient_profiles
from .search import Pair, search
from .size_check import is_measurable

CLASSES = (Kind.CLEAN, Kind.PIXELATED, Kind.SOFT, Kind.BLOCKY, Kind.MOSAIC, Kind.PIXEL_ART)
CHANNELS = 16, 32, 48, 48
HIDDEN = 64
INPUTS = 5
"""Luma, its steps along x and y, and those of them that lie on block edges."""
LUMA_GAIN, EVIDENCE_CLIP = 0.25, 6.0


class LatticeNet:
    """Finds the lattice of blocks, square or oblong, of any size and phase, and says what made it."""

    name = "lattice-net"

    def __init__(self, tensors: Tensors | None = None, *, pixel_art: bool = False) -> None:
        """`tensors`: weights, those that ship unless given; `pixel_art`: whether it counts as pixelated."""
        tensors = load_weights(self.name)[1] if tensors is None else tensors
        check_shapes(tensors, name=self.name)
        try:
            from .lattice_net_openvino import OpenVinoLatticeNet
        except ImportError as error:
            raise DeviceError(f"{self.name} needs OpenVINO, which cannot be used here ({error}); take grid") from error
        self._network, self._pixel_art = OpenVinoLatticeNet(tensors), pixel_art
        self._turn = threading.Lock()

    def __call__(self, luma: Plane, *, max_value: int = 255, chroma: Chroma | None = None) -> Verdict:
        """Judge `luma`, (height, width), uint8 or uint16 in 0..max_value; any size from 1×1, any strides.

        `chroma` is not looked at.
        """
        check_luma(luma, max_value)
        # Hundreds of short steps, each of which gives Python's own lock away: threads are faster one after the other.
        with self._turn:
            found = seen(luma, max_value=max_value)
        if found is None:
            return Verdict(0.0)
        return _verdict(self._network(found[0]), found[1], pixel_art=self._pixel_art)


def seen(luma: Plane, *, max_value: int = 255) -> tuple[Look, Pair] | None:
    """What the network takes of `luma`, and the lattice; None where there is nothing to see, or less than 13 pixels."""
    if not is_measurable(luma):
        return None
    steps = gradient_profiles(luma, max_value=max_value)
    pair = search(steps[0].profile, steps[1].profile)
    return None if pair is None else (look(luma, steps, pair, max_value=max_value), pair)


def _verdict(logits: NDArray[np.float32], pair: Pair, *, pixel_art: bool) -> Verdict:
    told: list[float] = logits.tolist()
    highest = max(told)
    odds = [exp(value - highest) for value in told]
    total = sum(odds)
    shares = {kind: value / total for kind, value in zip(CLASSES, odds, strict=True)}
    score = shares.pop(Kind.PIXELATED)
    if pixel_art:
        score += shares.pop(Kind.PIXEL_ART)
    kind = Kind.PIXELATED if score >= 0.5 else max(shares, key=lambda kind: shares[kind])
    x, y = pair
    sure = kind is Kind.PIXELATED or min(x.fit, y.fit) > FIT_EXPECTED
    return Verdict(score, kind, Blocks(x.period_px, y.period_px, x.phase_px, y.phase_px) if sure else None)


def shapes() -> dict[str, tuple[int, ...]]:
    """The weights' names and shapes."""
    found: dict[str, tuple[int, ...]] = {"evidence.mean": (EVIDENCE,), "evidence.scale": (EVIDENCE,)}
    for number, (before, after) in enumerate(zip((INPUTS, *CHANNELS), CHANNELS, strict=False)):
        found |= {f"conv{number}.weight": (after, before, 3, 3), f"conv{number}.bias": (after,)}
    found |= {"hidden.weight": (HIDDEN, 2 * CHANNELS[-1] + EVIDENCE), "hidden.bias": (HIDDEN,)}
    return found | {"logits.weight": (len(CLASSES), HIDDEN), "logits.bias": (len(CLASSES),)}


def check_shapes(tensors: Mapping[str, NDArray[np.floating]], *, name: str) -> None:
    """WeightsError where shapes differ or numbers are not finite."""
    wanted = shapes()
    if odd := sorted(wanted.keys() ^ tensors.keys()):
        raise WeightsError(f"{name}: '{odd[0]}' is missing or one too many; weights of another architecture")
    for key, shape in wanted.items():
        if tensors[key].shape != shape:
            raise WeightsError(f"{name}: {key} has shape {tensors[key].shape}, not {shape}; another architecture")
        if not np.isfinite(tensors[key]).all():
            raise WeightsError(f"{name}: {key} holds numbers that are not finite")
