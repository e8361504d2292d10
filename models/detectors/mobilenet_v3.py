"""Architecture of torchvision's MobileNetV3-small (Howard et al. 2019) with batch normalisation folded in.

    luma or RGB, 224×224 → stem ÷2 → 11 bottlenecks, ÷16 in all → 576 → mean → 1024 → classes

A bottleneck is 1×1 (wider), depthwise, squeeze-and-excitation, 1×1 (narrower), added to its input where both have the
same size. The graph that runs, the check of the weights and the export are all built from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import WeightsError

SIDE_PX = 224
"""Side of the square input."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution with a bias, and its activation."""

    name: str
    inputs: int
    outputs: int
    side: int = 1
    stride: int = 1
    depthwise: bool = False
    act: str = ""
    """`hardswish`, `relu`, `hardsigmoid` or empty."""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes by name: the weight (out, in, y, x), with one input if depthwise, and the bias (out,)."""
        kernel = self.outputs, 1 if self.depthwise else self.inputs, self.side, self.side
        return {f"{self.name}.weight": kernel, f"{self.name}.bias": (self.outputs,)}


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """An inverted residual block."""

    number: int
    side: int
    inputs: int
    wide: int
    outputs: int
    excited: bool
    act: str
    stride: int = 1

    @property
    def residual(self) -> bool:
        """Whether its input is added to its output."""
        return self.stride == 1 and self.inputs == self.outputs

    @property
    def widen(self) -> Layer | None:
        """The 1×1 expansion; None if the block is as wide as its input."""
        return None if self.wide == self.inputs else Layer(self._name("widen"), self.inputs, self.wide, act=self.act)

    @property
    def depthwise(self) -> Layer:
        """The depthwise convolution, the only layer that mixes neighbouring pixels."""
        return Layer(self._name("depthwise"), self.wide, self.wide, self.side, self.stride, True, self.act)

    @property
    def excitation(self) -> tuple[Layer, ...]:
        """Squeeze-and-excitation: two layers that compute channel weights from channel means; none in some blocks."""
        few = max(8, (self.wide // 4 + 4) // 8 * 8)
        few += 8 if few < 0.9 * (self.wide // 4) else 0
        squeeze = Layer(self._name("squeeze"), self.wide, few, act="relu")
        return (squeeze, Layer(self._name("excite"), few, self.wide, act="hardsigmoid")) if self.excited else ()

    @property
    def narrow(self) -> Layer:
        """The 1×1 projection to fewer channels."""
        return Layer(self._name("narrow"), self.wide, self.outputs)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers, in order."""
        return (*filter(None, [self.widen]), self.depthwise, *self.excitation, self.narrow)

    def _name(self, part: str) -> str:
        return f"block{self.number}.{part}"


BLOCKS = (
    Bottleneck(1, 3, 16, 16, 16, True, "relu", 2),
    Bottleneck(2, 3, 16, 72, 24, False, "relu", 2),
    Bottleneck(3, 3, 24, 88, 24, False, "relu"),
    Bottleneck(4, 5, 24, 96, 40, True, "hardswish", 2),
    Bottleneck(5, 5, 40, 240, 40, True, "hardswish"),
    Bottleneck(6, 5, 40, 240, 40, True, "hardswish"),
    Bottleneck(7, 5, 40, 120, 48, True, "hardswish"),
    Bottleneck(8, 5, 48, 144, 48, True, "hardswish"),
    Bottleneck(9, 5, 48, 288, 96, True, "hardswish", 2),
    Bottleneck(10, 5, 96, 576, 96, True, "hardswish"),
    Bottleneck(11, 5, 96, 576, 96, True, "hardswish"),
)
LAST = Layer("last", 96, 576, act="hardswish")
HIDDEN = Layer("hidden", 576, 1024, act="hardswish")


def stem(inputs: int) -> Layer:
    """The first layer."""
    return Layer("stem", inputs, 16, 3, 2, act="hardswish")


def logits(classes: int) -> Layer:
    """The last layer."""
    return Layer("logits", 1024, classes)


def layers(inputs: int, classes: int) -> list[Layer]:
    """Every layer, in order."""
    return [stem(inputs), *(layer for block in BLOCKS for layer in block.layers), LAST, HIDDEN, logits(classes)]


def check_shapes(tensors: Mapping[str, NDArray[Any]], inputs: int, classes: int, *, name: str) -> None:
    """Raise WeightsError, which begins with `name`, unless `tensors` have the network's shapes and are finite."""
    expected = {key: shape for layer in layers(inputs, classes) for key, shape in layer.shapes.items()}
    wrong = sorted(key for key in expected.keys() | tensors.keys() if _shape(tensors, key) != expected.get(key))
    if wrong:
        actual, shape = _shape(tensors, wrong[0]), expected.get(wrong[0])
        raise WeightsError(f"{name}: tensor '{wrong[0]}' has shape {actual}, not {shape}; not weights of this network")
    if bad := next((key for key, value in tensors.items() if not np.isfinite(value).all()), None):
        raise WeightsError(f"{name}: tensor '{bad}' contains NaN or infinite values")


def _shape(tensors: Mapping[str, NDArray[Any]], key: str) -> tuple[int, ...] | None:
    return tensors[key].shape if key in tensors else None
