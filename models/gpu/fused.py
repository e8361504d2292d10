"""Depthwise-separable residual blocks as fused Triton kernels: depthwise 3×3, 1×1, bias, ReLU or residual in one pass.

A separable block is bound by memory: run as separate operators, each layer reads and writes the entire feature map, and
cuDNN has no fast depthwise convolution. Fused, a block takes two passes instead of six (Chen et al. 2018, TVM, fuse
such operators in the same way). Triton comes with torch's CUDA builds; where it is missing, cuDNN serves.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from deepclarity.models.backends.torch_network import GeneratorNetwork

_TILE = 8
"""Pixels per side of a tile: one program computes all channels of 8×8 pixels."""
_WARPS = 4


@triton.jit  # type: ignore[untyped-decorator]
def _separable(  # type: ignore[no-untyped-def]  # noqa: PLR0917
    source, depthwise, pointwise, bias, residual, target, height, width,
    channels: tl.constexpr, relu: tl.constexpr, has_residual: tl.constexpr, side: tl.constexpr,
):  # fmt: skip
    """One tile: `source`, `residual` and `target` are (n, height, width, channels) float16."""
    across, down = tl.cdiv(width, side), tl.cdiv(height, side)
    program = tl.program_id(0)
    pixel = tl.arange(0, side * side)
    y = program // across % down * side + pixel // side
    x = program % across * side + pixel % side
    channel = tl.arange(0, channels)
    picture = (program // (across * down)).to(tl.int64) * height * width * channels
    total = tl.zeros((side * side, channels), dtype=tl.float32)
    for tap in tl.static_range(9):
        row, column = y + (tap // 3 - 1), x + (tap % 3 - 1)
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        at = source + picture + (row * width + column)[:, None] * channels + channel[None, :]
        value = tl.load(at, mask=inside[:, None], other=0.0)
        total += value.to(tl.float32) * tl.load(depthwise + tap * channels + channel)[None, :].to(tl.float32)
    kernel = tl.load(pointwise + channel[:, None] * channels + channel[None, :])
    result = tl.dot(total.to(tl.float16), kernel) + tl.load(bias + channel)[None, :].to(tl.float32)
    if relu:
        result = tl.maximum(result, 0.0)
    at = picture + (y * width + x)[:, None] * channels + channel[None, :]
    inside = (y < height) & (x < width)
    if has_residual:
        result += tl.load(residual + at, mask=inside[:, None], other=0.0).to(tl.float32)
    tl.store(target + at, result.to(tl.float16), mask=inside[:, None])


class FusedBody:
    """The body of a `separable` network in float16, on a CUDA device."""

    def __init__(self, network: GeneratorNetwork) -> None:
        """Take over the weights of `network`, whose family must be `separable`."""
        state = network.state_dict()
        self._halves: list[tuple[Tensor, Tensor, Tensor]] = []
        for index in range(network.net.blocks):
            for half in (1, 2):
                depthwise = state[f"layers.body_{index}_depthwise{half}.weight"]
                pointwise = state[f"layers.body_{index}_pointwise{half}.weight"]
                bias = state[f"layers.body_{index}_pointwise{half}.bias"]
                channels = pointwise.shape[0]
                self._halves.append((
                    depthwise.reshape(channels, 9).t().contiguous(),
                    pointwise.reshape(channels, channels).t().contiguous(),
                    bias.contiguous(),
                ))  # fmt: skip

    def __call__(self, features: Tensor) -> Tensor:
        """All blocks over (n, channels, height, width), channels last."""
        current = features.permute(0, 2, 3, 1).contiguous()
        middle, result, spare = (torch.empty_like(current) for _ in range(3))  # `features` itself is added later
        for first, second in zip(self._halves[::2], self._halves[1::2], strict=True):
            _launch(current, first, None, middle)
            _launch(middle, second, current, result)
            current, result, spare = result, spare, result
        return current.permute(0, 3, 1, 2)


def _launch(source: Tensor, weights: tuple[Tensor, Tensor, Tensor], residual: Tensor | None, target: Tensor) -> None:
    """A block's first half (ReLU) or, with `residual`, its second half."""
    pictures, height, width, channels = source.shape
    grid = (pictures * triton.cdiv(height, _TILE) * triton.cdiv(width, _TILE),)
    _separable[grid](
        source, *weights, source if residual is None else residual, target, height, width,
        channels=channels, relu=residual is None, has_residual=residual is not None, side=_TILE, num_warps=_WARPS,
    )  # fmt: skip
