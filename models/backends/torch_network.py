"""The generators as a torch module, the reference for all other back ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from deepclarity.models.generator import CENTRE, Block, Generator, Layer, check_shapes


class GeneratorNetwork(nn.Module):
    """See `deepclarity.models.generator` for the diagram; parameters are named as in the weight file."""

    def __init__(self, net: Generator) -> None:
        super().__init__()
        self.net = net
        self.layers = nn.ModuleDict({_key(layer): _convolution(layer, net) for layer in net.layers})
        self._stem, self._body = net.stem, net.body  # computed once: a slow launch makes the GPU wait
        self._tails = {scale: net.tail(scale) for scale in net.scales}
        self.fused_body: Callable[[Tensor], Tensor] | None = None
        """Replaces the body's own layers, if set: the same function of (n, channels, h, w), faster."""

    def forward(self, luma: Tensor, scale: int) -> Tensor:
        """Enlarge float32 luma (n, 1, h, w) in 0..1 to (n, 1, h * scale, w * scale), not clamped."""
        smooth = functional.interpolate(luma, scale_factor=scale, mode="bilinear", align_corners=False)
        x = pad_edges(luma - CENTRE, self.net.fold).to(self.dtype)
        return smooth + cells_to_pixels(self.cells(x, scale), luma, scale, self.net.fold)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of its computation."""
        return next(self.parameters()).dtype

    def cells(self, x: Tensor, scale: int) -> Tensor:
        """The detail for padded luma: (n, (fold · scale)², y, x), to be shuffled to pixels."""
        x = stem = self._apply_layer(self._stem, x)
        if self.fused_body is not None:
            x = self.fused_body(x)
        else:
            for block in self._body:
                x = self._apply_block(block, x)
        if self.net.long_skip:
            x = x + stem
        return self._apply_layer(self._tails[scale], x)

    def _apply_block(self, block: Block, x: Tensor) -> Tensor:
        y = x
        for layer in block.layers:
            y = self._apply_layer(layer, y)
        return y.add_(x) if block.residual else y

    def _apply_layer(self, layer: Layer, x: Tensor) -> Tensor:
        y: Tensor = self.layers[_key(layer)](x)
        return functional.relu(y, inplace=True) if layer.relu else y


def pad_edges(luma: Tensor, fold: int) -> Tensor:
    """`luma` (n, 1, h, w) with edges repeated by `fold` pixels on all sides, and more to complete the last cells."""
    height, width = luma.shape[-2:]
    return functional.pad(luma, (fold, fold + -width % fold, fold, fold + -height % fold), mode="replicate")


def cells_to_pixels(cells: Tensor, luma: Tensor, scale: int, fold: int) -> Tensor:
    """Pixel shuffle of the tail's output, cropped to the picture: (n, 1, h * scale, w * scale) float32."""
    height, width = luma.shape[-2:]
    return functional.pixel_shuffle(cells.float(), fold * scale)[..., : height * scale, : width * scale]


def network_from(net: Generator, tensors: Mapping[str, NDArray[np.float32]], *, name: str) -> GeneratorNetwork:
    """A network on the CPU in float32 with copies of `tensors`; WeightsError if they do not fit."""
    check_shapes(net, tensors, name=name)
    network = GeneratorNetwork(net)
    state = {_state_key(key): torch.from_numpy(value.copy()) for key, value in tensors.items()}
    network.load_state_dict(state)
    return network


def _convolution(layer: Layer, net: Generator) -> nn.Conv2d:
    is_stem = layer == net.stem  # its input is padded beforehand
    return nn.Conv2d(
        layer.inputs,
        layer.outputs,
        layer.side,
        stride=net.fold if is_stem else 1,
        padding=0 if is_stem else layer.side // 2,
        groups=layer.inputs if layer.depthwise else 1,
        bias=not layer.depthwise,
    )


def _key(layer: Layer) -> str:
    return layer.name.replace(".", "_")  # torch allows no dots in a module's name


def _state_key(name: str) -> str:
    path, _, kind = name.rpartition(".")
    return f"layers.{path.replace('.', '_')}.{kind}"
