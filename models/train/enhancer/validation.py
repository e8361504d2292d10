"""How near an enlargement comes to the truth, and what plain interpolation would have reached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from deepclarity.models.backends.torch_network import network_from
from deepclarity.models.generator import Generator, Tensors
from deepclarity.models.metrics import psnr

from .patches import Bytes, Pair

Enlarge = Callable[[Bytes, int], Bytes]
"""Small luma and scale in, large luma out, all uint8."""

_MIDDLE_PX = 120
"""Of the small picture: enough to tell networks apart, little enough to be quick."""


@dataclass(frozen=True, slots=True)
class Task:
    """Pictures to enlarge, with a name for what was done to them."""

    name: str
    scale: int
    pairs: Sequence[Pair]


def mean_psnr(enlarge: Enlarge, task: Task) -> float:
    """The mean over the pictures of `task`, in dB."""
    return float(np.mean([psnr(enlarge(pair.small, task.scale), pair.large) for pair in task.pairs]))


def middle(pair: Pair) -> Pair:
    """The middle of a pair, for validation."""
    scale = pair.large.shape[0] // pair.small.shape[0]
    h, w = (min(side, _MIDDLE_PX) for side in pair.small.shape)
    y, x = (pair.small.shape[0] - h) // 2, (pair.small.shape[1] - w) // 2
    large = pair.large[y * scale : (y + h) * scale, x * scale : (x + w) * scale]
    return Pair(pair.small[y : y + h, x : x + w], large)


def interpolation(method: int) -> Enlarge:
    """OpenCV's `cv2.resize` with `method`, to compare with."""

    def enlarge(small: Bytes, scale: int) -> Bytes:
        size = (small.shape[1] * scale, small.shape[0] * scale)
        return cv2.resize(small, size, interpolation=method).astype(np.uint8, copy=False)

    return enlarge


def enlarger(net: Generator, tensors: Tensors) -> Enlarge:
    """The network with these weights, in float32 by torch on the CPU."""
    network = network_from(net, tensors, name="trained").eval().requires_grad_(False)

    def enlarge(small: Bytes, scale: int) -> Bytes:
        with torch.inference_mode():
            luma = torch.from_numpy(np.ascontiguousarray(small))[None, None].float() / 255
            large = network(luma, scale)[0, 0]
            levels: Bytes = (large * 255 + 0.5).clamp_(0, 255).to(torch.uint8).numpy()
            return levels

    return enlarge
