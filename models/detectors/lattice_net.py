"""The default detector `lattice-net`: lattice search on gradient profiles, then a small network.

The network sees eight crops of the picture at its own resolution, with the edges of the best lattice marked, and
70 numbers on how well that lattice explains the entire picture. This lets it distinguish enlarged pixels from codec
blocks, grids, screens and pixel art.
"""

from __future__ import annotations

import threading
from math import exp

import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import DeviceError
from deepclarity.models.backends.checks import check_luma
from deepclarity.models.generator import Tensors
from deepclarity.models.verdict import Blocks, Chroma, Kind, Plane, Verdict
from deepclarity.models.weights import load_weights

from .crops import LatticeCrops, extract_crops
from .lattice import MIN_FIT_EXPECTED, is_scorable
from .lattice_net_architecture import CLASSES, check_shapes
from .profiles import gradient_profiles
from .search import LatticePair, search


class LatticeNet:
    """Finds the lattice of blocks, square or oblong, of any size and phase, and classifies what caused it."""

    name = "lattice-net"

    def __init__(self, tensors: Tensors | None = None, *, pixel_art: bool = False) -> None:
        """`tensors`: weights, by default those that ship; `pixel_art`: whether pixel art counts as pixelated."""
        tensors = load_weights(self.name)[1] if tensors is None else tensors
        check_shapes(tensors, name=self.name)
        try:
            from .lattice_net_openvino import OpenVinoLatticeNet
        except ImportError as error:
            raise DeviceError(
                f"{self.name} needs OpenVINO, which cannot be used here ({error}); use --method grid"
            ) from error
        self._network, self._pixel_art = OpenVinoLatticeNet(tensors), pixel_art
        self._lock = threading.Lock()

    def __call__(self, luma: Plane, *, max_value: int = 255, chroma: Chroma | None = None) -> Verdict:
        """Score `luma`, (height, width), uint8 or uint16 in 0..max_value; any size from 1×1, any strides.

        `chroma` is ignored.
        """
        check_luma(luma, max_value)
        # Hundreds of short NumPy calls, each of which releases Python's global lock: threads are faster in turn.
        with self._lock:
            found = preprocess(luma, max_value=max_value)
        if found is None:
            return Verdict(0.0)
        return _verdict(self._network(found[0]), found[1], pixel_art=self._pixel_art)


def preprocess(luma: Plane, *, max_value: int = 255) -> tuple[LatticeCrops, LatticePair] | None:
    """The network's input for `luma`, and the lattice; None if it is not `is_scorable` or has no lattice at all."""
    if not is_scorable(luma):
        return None
    profiles = gradient_profiles(luma, max_value=max_value)
    pair = search(profiles[0].profile, profiles[1].profile)
    return None if pair is None else (extract_crops(luma, profiles, pair, max_value=max_value), pair)


def _verdict(logits: NDArray[np.float32], pair: LatticePair, *, pixel_art: bool) -> Verdict:
    values: list[float] = logits.tolist()
    highest = max(values)
    odds = [exp(value - highest) for value in values]
    total = sum(odds)
    shares = {kind: value / total for kind, value in zip(CLASSES, odds, strict=True)}
    score = shares.pop(Kind.PIXELATED)
    if pixel_art:
        score += shares.pop(Kind.PIXEL_ART)
    kind = Kind.PIXELATED if score >= 0.5 else max(shares, key=lambda kind: shares[kind])
    x, y = pair
    has_blocks = kind is Kind.PIXELATED or min(x.fit, y.fit) > MIN_FIT_EXPECTED
    return Verdict(score, kind, Blocks(x.period_px, y.period_px, x.phase_px, y.phase_px) if has_blocks else None)
