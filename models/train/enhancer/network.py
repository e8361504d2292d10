"""The network in training, with re-parameterised kernels: those exported are sums and products of those learned.

Both are computed on the kernels, not on pictures, so they cost next to nothing:

* a `turbo` kernel is W + P·E + I: a plain one, a wider 1×1 followed by a 3×3, and the identity (RepVGG, Ding et
  al. 2021; the 1×1-3×3 branch after ECBSR, Zhang et al. 2021). What is exported is the sum.
* depthwise 3×3 and 1×1 multiply to one dense 3×3 kernel, which trains faster. What is exported is the pair.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from deepclarity.models.backends.torch_network import cells_to_pixels, pad_edges
from deepclarity.models.generator import CENTRE, Block, Generator, Layer, Tensors, check_shapes


class TrainingNetwork(nn.Module):
    """A trainable `Generator`; initially it computes exactly the same function as `tensors`."""

    def __init__(
        self,
        net: Generator,
        tensors: Mapping[str, NDArray[np.float32]],
        *,
        dtype: torch.dtype,
        widening: int = 0,
        seed: int = 0,
    ) -> None:
        """`dtype`: of the convolutions; `widening`: channels of E as a multiple of the layer's, 0 for no such branch;
        `seed`: for the initial P and E."""
        super().__init__()
        check_shapes(net, tensors, name="start")
        self.net = net
        self._dtype = dtype
        initial = {key: torch.from_numpy(value.copy()) for key, value in tensors.items()}
        self.learnt = nn.ParameterDict({_key(name): nn.Parameter(value) for name, value in initial.items()})
        self.widen, self.narrow = nn.ParameterDict(), nn.ParameterDict()
        if net.family == "turbo":
            self._add_branches(widening, np.random.default_rng(seed))

    def forward(self, luma: Tensor, scale: int) -> Tensor:
        """Enlarge float32 luma (n, 1, h, w) in 0..1 to (n, 1, h * scale, w * scale), not clamped."""
        smooth = functional.interpolate(luma, scale_factor=scale, mode="bilinear", align_corners=False)
        x = pad_edges(luma - CENTRE, self.net.fold).to(self._dtype).contiguous(memory_format=torch.channels_last)
        x = stem = self._layer(self.net.stem, x, stride=self.net.fold, padding=0)
        for block in self.net.body:
            y = self._block(block, x)
            x = y.add_(x) if block.residual else y
        if self.net.long_skip:
            x = x + stem
        return smooth + cells_to_pixels(self._layer(self.net.tail(scale), x), luma, scale, self.net.fold)

    def tensors(self) -> Tensors:
        """The weights to export, in float32: kernels merged, named as in `Generator`."""
        with torch.no_grad():
            merged = {layer.name: self._kernel(layer) for layer in self.net.layers}
            found = {name: self.learnt[_key(name)] for name in self.net.shapes()}
            found |= {f"{name}.weight": kernel for name, kernel in merged.items()}
        return {name: value.detach().float().cpu().contiguous().numpy().copy() for name, value in found.items()}

    def channel_mixing_kernels(self) -> list[nn.Parameter]:
        """The kernels between equal numbers of channels, for Muon."""
        inner = (layer for block in self.net.body for layer in block.layers if not layer.depthwise)
        return [self.learnt[_key(f"{layer.name}.weight")] for layer in inner]

    def _block(self, block: Block, x: Tensor) -> Tensor:
        layers = block.layers
        if not layers[0].depthwise:
            for layer in layers:
                x = self._layer(layer, x)
            return x
        for depthwise, pointwise in zip(layers[::2], layers[1::2], strict=True):
            kernel = self._kernel(pointwise) * self._kernel(depthwise).transpose(0, 1)
            x = self._convolve(pointwise, kernel, x, stride=1, padding=depthwise.side // 2)
        return x

    def _layer(self, layer: Layer, x: Tensor, *, stride: int = 1, padding: int | None = None) -> Tensor:
        padding = layer.side // 2 if padding is None else padding
        return self._convolve(layer, self._kernel(layer), x, stride=stride, padding=padding)

    def _convolve(self, layer: Layer, kernel: Tensor, x: Tensor, *, stride: int, padding: int) -> Tensor:
        kernel = kernel.to(self._dtype).contiguous(memory_format=torch.channels_last)
        bias = self.learnt[_key(f"{layer.name}.bias")].to(self._dtype)
        y = functional.conv2d(x, kernel, bias, stride=stride, padding=padding)
        return functional.relu(y, inplace=True) if layer.relu else y

    def _kernel(self, layer: Layer) -> Tensor:
        kernel: Tensor = self.learnt[_key(f"{layer.name}.weight")]
        key = _key(layer.name)
        if self.net.family == "turbo" and layer.name.startswith("body"):
            kernel = kernel + self.get_buffer("identity")
        if key in self.widen:
            kernel = kernel + torch.einsum("omyx,mi->oiyx", self.narrow[key], self.widen[key])
        return kernel

    def _add_branches(self, widening: int, rng: np.random.Generator) -> None:
        c = self.net.channels
        identity = torch.zeros(c, c, 3, 3)
        identity[:, :, 1, 1] = torch.eye(c)
        self.register_buffer("identity", identity, persistent=False)
        for layer in (layer for block in self.net.body for layer in block.layers):
            key, wide = _key(layer.name), widening * c
            if widening:
                narrow = rng.standard_normal((c, wide, 3, 3)) * np.sqrt(0.25 / (wide * 9))
                widen = rng.standard_normal((wide, c)) / np.sqrt(c)
                self.narrow[key] = nn.Parameter(torch.from_numpy(narrow.astype(np.float32)))
                self.widen[key] = nn.Parameter(torch.from_numpy(widen.astype(np.float32)))
            weight = self.learnt[_key(f"{layer.name}.weight")]
            with torch.no_grad():  # so that the sum is the initial kernel
                weight -= self._kernel(layer) - weight


def _key(name: str) -> str:
    return name.replace(".", "_")  # torch allows no dots in a parameter's name
