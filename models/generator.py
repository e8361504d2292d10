"""The networks that enlarge, as plain data: NumPy only, so that every back end can build from it.

All of them work on the small picture and make the large one by a pixel shuffle, as ESPCN does (Shi et al. 2016,
"Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network"), and
all only add to a bilinear enlargement: an untrained one *is* bilinear.

    luma (1, h, w), 0..1
      ├─ stem 3×3                    (channels, h, w)       edges repeated
      │  body: `blocks` blocks       (channels, h, w)
      │  tail, one per scale         (scale², h, w)         starts at zero
      │  pixel shuffle by `scale`    (1, h·scale, w·scale)
      └─ bilinear enlargement  ─────────────+──▶ (1, h·scale, w·scale)

Families of body:

`turbo`      a block is a 3×3 convolution and ReLU. While it is trained, each kernel is a sum of several
             (`models.train.network`); what is stored is the sum (Ding et al. 2021, RepVGG; Zhang et al. 2021, ECBSR).
`separable`  a block is a residual one (Lim et al. 2017, EDSR: no normalisation) whose convolutions are depthwise
             separable (Howard et al. 2017, MobileNets): depthwise 3×3, 1×1, ReLU, depthwise 3×3, 1×1, plus its input.
             The body as a whole is added to the stem once more (Ledig et al. 2017, SRGAN).

With `fold` 2 the stem folds 2×2 pixels into one cell by a stride, which makes all that follows four times cheaper;
the tail then makes (2·scale)² samples a cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import WeightsError

Tensors = dict[str, NDArray[np.float32]]
"""The weights of one network by name, as safetensors holds them."""

FAMILIES = ("turbo", "separable")

CENTRE = 128 / 255
"""Taken off luma before the stem. Whole 8-bit levels round it are exact in bfloat16."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One convolution, `name.weight` (out, in, side, side) and `name.bias` (out,), zeros beyond the edge.

    A depthwise one has kernels (channels, 1, side, side) and no bias: the 1×1 that follows has it.
    """

    name: str
    inputs: int
    outputs: int
    side: int = 3
    depthwise: bool = False
    relu: bool = False

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Its tensors' shapes by name."""
        if self.depthwise:
            return {f"{self.name}.weight": (self.outputs, 1, self.side, self.side)}
        kernel = (self.outputs, self.inputs, self.side, self.side)
        return {f"{self.name}.weight": kernel, f"{self.name}.bias": (self.outputs,)}

    @property
    def products(self) -> int:
        """Multiplications for each position of its output."""
        return self.outputs * (1 if self.depthwise else self.inputs) * self.side**2


@dataclass(frozen=True, slots=True)
class Block:
    """Layers in a row; a residual block adds its input to what they make."""

    layers: tuple[Layer, ...]
    residual: bool = False


@dataclass(frozen=True, slots=True)
class Generator:
    """The shape of one network; back ends and training build from `stem`, `body` and `tail`."""

    family: str
    """`turbo` or `separable`."""
    blocks: int
    channels: int
    scales: tuple[int, ...]
    """Factors that it has a tail for, ascending."""
    fold: int = 1
    """Pixels along one side of a cell."""

    @property
    def stem(self) -> Layer:
        """Over pixels; stride `fold`, edges repeated by `fold` pixels. `turbo` has a ReLU behind it."""
        return Layer("stem", 1, self.channels, 3 * self.fold, relu=self.family == "turbo")

    @property
    def body(self) -> tuple[Block, ...]:
        """Over cells, `channels` in and out."""
        c = self.channels
        if self.family == "turbo":
            return tuple(Block((Layer(f"body.{i}", c, c, relu=True),)) for i in range(self.blocks))
        return tuple(Block(_separable(f"body.{i}", c), residual=True) for i in range(self.blocks))

    @property
    def long_skip(self) -> bool:
        """Whether the stem's result is added to the body's."""
        return self.family == "separable"

    def tail(self, scale: int) -> Layer:
        """One output for every sample of an enlarged cell, row by row."""
        return Layer(f"tail.x{scale}", self.channels, (self.fold * scale) ** 2, 3 if self.fold == 1 else 1)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every layer, tails of all scales included."""
        inner = (layer for block in self.body for layer in block.layers)
        return (self.stem, *inner, *(self.tail(scale) for scale in self.scales))

    def int8_layers(self, scale: int) -> tuple[str, ...]:
        """The layers that can run in 8-bit integers: those of `turbo` whose input a ReLU has made positive."""
        if self.family != "turbo":
            return ()
        return (*(layer.name for block in self.body for layer in block.layers), self.tail(scale).name)

    @property
    def reach_px(self) -> int:
        """How far, in pixels of the small picture, an output looks; even, and whole cells."""
        cells = sum(layer.side // 2 for block in self.body for layer in block.layers) + 2
        return self.fold * (cells + cells % 2)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor's shape by name; kernels are (out, in, height, width)."""
        return {name: shape for layer in self.layers for name, shape in layer.shapes.items()}

    @property
    def parameters(self) -> int:
        """How many numbers are stored, all scales together."""
        return sum(int(np.prod(shape)) for shape in self.shapes().values())

    def products(self, scale: int) -> float:
        """Multiplications (and additions) for each pixel of the small picture, enlarged by `scale`."""
        inner = sum(layer.products for block in self.body for layer in block.layers)
        return (self.stem.products + inner + self.tail(scale).products) / self.fold**2


def _separable(name: str, channels: int) -> tuple[Layer, ...]:
    c = channels
    return (
        Layer(f"{name}.depthwise1", c, c, depthwise=True),
        Layer(f"{name}.pointwise1", c, c, side=1, relu=True),
        Layer(f"{name}.depthwise2", c, c, depthwise=True),
        Layer(f"{name}.pointwise2", c, c, side=1),
    )


def untrained(net: Generator, *, seed: int = 0) -> Tensors:
    """Weights to start from: He et al. 2015 where a ReLU follows, tails zero, so that the result is bilinear."""
    rng = np.random.default_rng(seed)
    tensors: Tensors = {}
    for layer in net.layers:
        for name, shape in layer.shapes.items():
            tensors[name] = np.zeros(shape, np.float32)
        kernel = tensors[f"{layer.name}.weight"]
        if not layer.name.startswith("tail"):
            fan_in = np.prod(kernel.shape[1:])
            kernel += (rng.standard_normal(kernel.shape) * np.sqrt(_gain(layer) / fan_in)).astype(np.float32)
        if layer.depthwise:
            kernel[:, :, 1, 1] += 1  # begins as what it is given, nearly
        elif net.family == "turbo" and layer.name.startswith("body"):
            kernel *= np.sqrt(0.5)
            kernel[:, :, 1, 1] += np.eye(layer.outputs, dtype=np.float32)
    return tensors


def _gain(layer: Layer) -> float:
    """Variance that a layer begins with, times its fan-in."""
    return 2.0 if layer.relu or layer.name == "stem" else 0.1  # depthwise: near the identity; residuals: small


def check_shapes(net: Generator, tensors: Mapping[str, NDArray[np.float32]], *, name: str) -> None:
    """Raise `WeightsError` unless `tensors` are exactly the ones that `net` needs."""
    found = {key: value.shape for key, value in tensors.items()}
    wanted = net.shapes()
    wrong = sorted(key for key, shape in wanted.items() if found.get(key) != shape)
    wrong += sorted(found.keys() - wanted.keys())
    if wrong:
        raise WeightsError(f"{name}: weights do not fit their architecture, first at '{wrong[0]}'")


def check_finite(tensors: Mapping[str, NDArray[np.float32]], *, name: str) -> None:
    """Raise `WeightsError` where a number is NaN or infinite."""
    for key in sorted(tensors):
        if not np.isfinite(tensors[key]).all():
            raise WeightsError(f"{name}: '{key}' holds numbers that are not finite; train again, or take other weights")


def bilinear_kernel(scale: int, *, fold: int) -> NDArray[np.float32]:
    """Bilinear enlargement as a convolution: ((fold·scale)², 1, 3·fold, 3·fold), stride `fold`.

    One output per sample of an enlarged cell. Half-pixel centres, as in OpenCV and torch
    (`align_corners=False`); edges must be repeated by `fold` pixels beforehand.
    """
    side = fold * scale
    taps = np.zeros((side, 3 * fold), np.float32)
    for i in range(side):
        position = (i + 0.5) / scale - 0.5 + fold
        first = int(np.floor(position))
        taps[i, first] += first + 1 - position
        taps[i, first + 1] += position - first
    kernel: NDArray[np.float32] = np.einsum("iy,jx->ijyx", taps, taps)
    return kernel.reshape(side * side, 1, 3 * fold, 3 * fold)
