"""Architecture of the generators (super-resolution networks) as plain data, from which every back end is built.

All of them compute on the small picture and produce the large one by a pixel shuffle, as ESPCN does (Shi et al. 2016,
"Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network"), and
all only add to a bilinear enlargement: without training, the result *is* bilinear.

    luma (1, h, w), 0..1
      ├─ stem 3×3                    (channels, h, w)       padded with repeated edges
      │  body: `blocks` blocks       (channels, h, w)
      │  tail, one per scale         (scale², h, w)         initially zero
      │  pixel shuffle by `scale`    (1, h·scale, w·scale)
      └─ bilinear enlargement  ─────────────+──▶ (1, h·scale, w·scale)

Families of body:

`turbo`      a block is a 3×3 convolution and ReLU. In training, each kernel is a sum of several
             (`models.train.enhancer.network`); the weights hold the sum (Ding et al. 2021, RepVGG; Zhang et al. 2021,
             ECBSR).
`separable`  a block is a residual one (Lim et al. 2017, EDSR: no normalisation) whose convolutions are depthwise
             separable (Howard et al. 2017, MobileNets): depthwise 3×3, 1×1, ReLU, depthwise 3×3, 1×1, plus its input.
             The output of the body is added to that of the stem (Ledig et al. 2017, SRGAN).

With `fold` 2 the stem folds 2×2 pixels into one cell (space-to-depth) by its stride, which makes all later layers four
times cheaper; the tail then produces (2·scale)² samples per cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import WeightsError

Tensors = dict[str, NDArray[np.float32]]
"""The weights of one network by name, as in a safetensors file."""

FAMILIES = ("turbo", "separable")

CENTRE = 128 / 255
"""Subtracted from luma before the stem. Integer 8-bit levels around it are exact in bfloat16."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One convolution, `name.weight` (out, in, side, side) and `name.bias` (out,), with zero padding.

    A depthwise one has kernels (channels, 1, side, side) and no bias: the following 1×1 has one.
    """

    name: str
    inputs: int
    outputs: int
    side: int = 3
    depthwise: bool = False
    relu: bool = False

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of its tensors by name."""
        if self.depthwise:
            return {f"{self.name}.weight": (self.outputs, 1, self.side, self.side)}
        kernel = (self.outputs, self.inputs, self.side, self.side)
        return {f"{self.name}.weight": kernel, f"{self.name}.bias": (self.outputs,)}

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations per position of its output."""
        return self.outputs * (1 if self.depthwise else self.inputs) * self.side**2


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive layers; a residual block adds its input to their output."""

    layers: tuple[Layer, ...]
    residual: bool = False


@dataclass(frozen=True, slots=True)
class Generator:
    """The architecture of one network; back ends and training build it from `stem`, `body` and `tail`."""

    family: str
    """`turbo` or `separable`."""
    blocks: int
    channels: int
    scales: tuple[int, ...]
    """The scales it has a tail for, ascending."""
    fold: int = 1
    """Side of a cell in pixels."""

    @property
    def stem(self) -> Layer:
        """On pixels; stride `fold`, edges repeated by `fold` pixels. In `turbo` a ReLU follows."""
        return Layer("stem", 1, self.channels, 3 * self.fold, relu=self.family == "turbo")

    @property
    def body(self) -> tuple[Block, ...]:
        """On cells, `channels` in and out."""
        c = self.channels
        if self.family == "turbo":
            return tuple(Block((Layer(f"body.{i}", c, c, relu=True),)) for i in range(self.blocks))
        return tuple(Block(_separable(f"body.{i}", c), residual=True) for i in range(self.blocks))

    @property
    def long_skip(self) -> bool:
        """Whether the output of the stem is added to that of the body."""
        return self.family == "separable"

    def tail(self, scale: int) -> Layer:
        """One output channel per sample of an enlarged cell, row by row."""
        return Layer(f"tail.x{scale}", self.channels, (self.fold * scale) ** 2, 3 if self.fold == 1 else 1)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers, including the tails of all scales."""
        inner = (layer for block in self.body for layer in block.layers)
        return (self.stem, *inner, *(self.tail(scale) for scale in self.scales))

    def int8_layers(self, scale: int) -> tuple[str, ...]:
        """The layers that can run in 8-bit integers: those of `turbo`, whose input is positive after a ReLU."""
        if self.family != "turbo":
            return ()
        return (*(layer.name for block in self.body for layer in block.layers), self.tail(scale).name)

    @property
    def receptive_radius_px(self) -> int:
        """Radius of the receptive field in pixels of the small picture, rounded up to an even number of cells."""
        cells = sum(layer.side // 2 for block in self.body for layer in block.layers) + 2
        return self.fold * (cells + cells % 2)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of all tensors by name; kernels are (out, in, height, width)."""
        return {name: shape for layer in self.layers for name, shape in layer.shapes.items()}

    @property
    def parameters(self) -> int:
        """Number of weights, for all scales together."""
        return sum(int(np.prod(shape)) for shape in self.shapes().values())

    def macs_per_pixel(self, scale: int) -> float:
        """Multiply-accumulate operations per pixel of the small picture, for enlargement by `scale`."""
        inner = sum(layer.macs for block in self.body for layer in block.layers)
        return (self.stem.macs + inner + self.tail(scale).macs) / self.fold**2


def _separable(name: str, channels: int) -> tuple[Layer, ...]:
    c = channels
    return (
        Layer(f"{name}.depthwise1", c, c, depthwise=True),
        Layer(f"{name}.pointwise1", c, c, side=1, relu=True),
        Layer(f"{name}.depthwise2", c, c, depthwise=True),
        Layer(f"{name}.pointwise2", c, c, side=1),
    )


def initial_weights(net: Generator, *, seed: int = 0) -> Tensors:
    """Initial weights: He et al. 2015 where a ReLU follows, tails zero, so that the result is bilinear."""
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
            kernel[:, :, 1, 1] += 1  # close to the identity
        elif net.family == "turbo" and layer.name.startswith("body"):
            kernel *= np.sqrt(0.5)
            kernel[:, :, 1, 1] += np.eye(layer.outputs, dtype=np.float32)
    return tensors


def _gain(layer: Layer) -> float:
    """Initial variance of a layer's weights, times its fan-in."""
    return 2.0 if layer.relu or layer.name == "stem" else 0.1  # depthwise: near the identity; residuals: small


def check_shapes(net: Generator, tensors: Mapping[str, NDArray[np.float32]], *, name: str) -> None:
    """Raise `WeightsError` unless `tensors` have exactly the names and shapes that `net` needs."""
    actual = {key: value.shape for key, value in tensors.items()}
    expected = net.shapes()
    wrong = sorted(key for key, shape in expected.items() if actual.get(key) != shape)
    wrong += sorted(actual.keys() - expected.keys())
    if wrong:
        raise WeightsError(f"{name}: weights do not fit their architecture, first at '{wrong[0]}'")


def check_finite(tensors: Mapping[str, NDArray[np.float32]], *, name: str) -> None:
    """Raise `WeightsError` if a value is NaN or infinite."""
    for key in sorted(tensors):
        if not np.isfinite(tensors[key]).all():
            raise WeightsError(f"{name}: '{key}' contains NaN or infinite values; train again, or use other weights")


def bilinear_kernel(scale: int, *, fold: int) -> NDArray[np.float32]:
    """Bilinear enlargement as a convolution: ((fold·scale)², 1, 3·fold, 3·fold), stride `fold`.

    One output channel per sample of an enlarged cell. Half-pixel centres, as in OpenCV and torch
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
