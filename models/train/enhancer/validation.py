"""Validation of enhancers: PSNR of an enlargement, and of interpolation as a baseline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from deepclarity.models.backends.torch_network import network_from
from deepclarity.models.generator import Generator, Tensors
from deepclarity.models.metrics import psnr
from deepclarity.models.verdict import Bytes

from .patches import Pair

Enlarge = Callable[[Bytes, int], Bytes]
"""Small luma and scale in, large luma out, all uint8."""

_CENTRE_PX = 120
"""Side of the low-resolution crop: large enough to compare networks, small enough to be fast."""


@dataclass(frozen=True, slots=True)
class Task:
    """Pairs to enlarge, named after their degradation."""

    name: str
    scale: int
    pairs: Sequence[Pair]


def mean_psnr(enlarge: Enlarge, task: Task) -> float:
    """Mean PSNR over the pictures of `task`, in dB."""
    return float(np.mean([psnr(enlarge(pair.small, task.scale), pair.large) for pair in task.pairs]))


def centre_crop(pair: Pair) -> Pair:
    """The centre of a pair, at most 120 pixels of the small picture on each side."""
    scale = pair.large.shape[0] // pair.small.shape[0]
    h, w = (min(side, _CENTRE_PX) for side in pair.small.shape)
    y, x = (pair.small.shape[0] - h) // 2, (pair.small.shape[1] - w) // 2
    large = pair.large[y * scale : (y + h) * scale, x * scale : (x + w) * scale]
    return Pair(pair.small[y : y + h, x : x + w], large)


def interpolation(method: int) -> Enlarge:
    """Enlargement by `cv2.resize` with the interpolation `method`, as a baseline."""

    def enlarge(small: Bytes, scale: int) -> Bytes:
        size = (small.shape[1] * scale, small.shape[0] * scale)
        return cv2.resize(small, size, interpolation=method).astype(np.uint8, copy=False)

    return enlarge


def enlarger(net: Generator, tensors: Tensors) -> Enlarge:
    """Enlargement by the network with these weights, in float32 by torch on the CPU."""
    network = network_from(net, tensors, name="trained").eval().requires_grad_(False)

    def enlarge(small: Bytes, scale: int) -> Bytes:
        with torch.inference_mode():
            luma = torch.from_numpy(np.ascontiguousarray(small))[None, None].float() / 255
            large = network(luma, scale)[0, 0]
            levels: Bytes = (large * 255 + 0.5).clamp_(0, 255).to(torch.uint8).numpy()
            return levels

    return enlarge
