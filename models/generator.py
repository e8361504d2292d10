"""The networks that enlarge, as plain data: NumPy only, so that every back end can build from it.

`turbo` follows ESPCN (Shi et al. 2016, "Real-Time Single Image and Video Super-Resolution Using an
Efficient Sub-Pixel Convolutional Neural Network"): every convolution runs on the small picture and a pixel
shuffle makes the large one. Two changes: the stem folds 2×2 pixels into one cell (a strided convolution),
which makes the rest four times cheaper, and the network only adds to a bilinear enlargement, so an
untrained one *is* bilinear.

    luma (1, h, w), 0..1
      ├─ stem 6×6, stride 2, ReLU    (channels, h/2, w/2)    edges repeated
      │  body: `layers` × 3×3, ReLU  (channels, h/2, w/2)
      │  tail 1×1, one per scale     ((2·scale)², h/2, w/2)  starts at zero
      │  pixel shuffle by 2·scale    (1, h·scale, w·scale)
      └─ bilinear enlargement  ───────────────+──▶ (1, h·scale, w·scale)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import WeightsError

Tensors = dict[str, NDArray[np.float32]]
"""The weights of one network by name, as safetensors holds them."""

FOLD = 2
"""Pixels of the small picture along one side of a cell: the stem's stride."""

CENTRE = 128 / 255
"""Taken off luma before the stem. Whole 8-bit levels round it are exact in bfloat16."""


@dataclass(frozen=True, slots=True)
class Turbo:
    """The shape of a `turbo` network."""

    layers: int
    channels: int
    scales: tuple[int, ...]

    @property
    def reach_px(self) -> int:
        """How far, in pixels of the small picture, an output looks; a whole number of cells."""
        return FOLD * (self.layers + 2)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor's shape by name; kernels are (out, in, height, width)."""
        c = self.channels
        shapes: dict[str, tuple[int, ...]] = {"stem.weight": (c, 1, 3 * FOLD, 3 * FOLD), "stem.bias": (c,)}
        for i in range(self.layers):
            shapes |= {f"body.{i}.weight": (c, c, 3, 3), f"body.{i}.bias": (c,)}
        for scale in self.scales:
            out = (FOLD * scale) ** 2
            shapes |= {f"tail.x{scale}.weight": (out, c, 1, 1), f"tail.x{scale}.bias": (out,)}
        return shapes

    @property
    def parameters(self) -> int:
        """How many numbers were trained, all scales together."""
        return sum(int(np.prod(shape)) for shape in self.shapes().values())


def untrained(net: Turbo, *, seed: int = 0) -> Tensors:
    """Weights to start from: He et al. 2015 before a ReLU, zero for tails, so that the result is bilinear."""
    rng = np.random.default_rng(seed)
    tensors: Tensors = {}
    for name, shape in net.shapes().items():
        tensors[name] = np.zeros(shape, np.float32)
        if name.endswith("weight") and not name.startswith("tail"):
            deviation = np.sqrt(2 / np.prod(shape[1:]))
            tensors[name] += (rng.standard_normal(shape) * deviation).astype(np.float32)
    return tensors


def check_shapes(net: Turbo, tensors: Mapping[str, NDArray[np.float32]], *, name: str) -> None:
    """Raise `WeightsError` unless `tensors` are exactly the ones that `net` needs."""
    found = {key: value.shape for key, value in tensors.items()}
    wrong = sorted(key for key, shape in net.shapes().items() if found.get(key) != shape)
    wrong += sorted(found.keys() - net.shapes().keys())
    if wrong:
        raise WeightsError(f"{name}: weights do not fit the manifest's architecture, first at '{wrong[0]}'")


def bilinear_kernel(scale: int) -> NDArray[np.float32]:
    """Bilinear enlargement as a convolution: ((2·scale)², 1, 6, 6), stride 2, one output per pixel of a cell.

    Half-pixel centres, as in OpenCV and torch (`align_corners=False`); edges must be repeated beforehand.
    """
    side = FOLD * scale
    taps = np.zeros((side, 3 * FOLD), np.float32)
    for i in range(side):
        position = (i + 0.5) / scale - 0.5 + FOLD
        first = int(np.floor(position))
        taps[i, first] += first + 1 - position
        taps[i, first + 1] += position - first
    kernel: NDArray[np.float32] = np.einsum("iy,jx->ijyx", taps, taps)
    return kernel.reshape(side * side, 1, 3 * FOLD, 3 * FOLD)
