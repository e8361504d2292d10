"""Recipes and pictures for training that takes a second."""

from __future__ import annotations

import cv2
import numpy as np

from deepclarity.models.train.enhancer.recipe import Recipe, parse_recipe
from deepclarity.pipelines.datasets.degrade import Photo

TINY = """
family = "turbo"
blocks = 1
channels = 8
fold = 1
scales = [2, 4]
scale_shares = [0.3, 0.7]
widening = 0
start_from = ""
seed = 1
steps = 20
batch = 4
patch_px = 16
learning_rate = 3e-3
muon_learning_rate = 0.01
warmup_steps = 1
ema_decay = 0.5
bfloat16 = false
checkpoint_s = 1000.0
validation_photos = 1
renew_steps = 1000
pixelated_share = 0.0
coded_share = 0.8
jpeg_quality = [30, 95]
crf = [18, 35]
block_px = [1.5, 8.0]
noise_share = 0.2
noise_levels = 4.0
pixel_loss = "charbonnier"
pixel_weight = 1.0
perceptual_weight = 0.0
adversarial_weight = 0.0
discriminator_channels = 0
discriminator_learning_rate = 0.0
"""


def changed(**changes: object) -> str:
    """`TINY` with other values, in TOML syntax; every key must exist in it."""
    lines = TINY.strip().splitlines()
    for key, value in changes.items():
        (index,) = (i for i, line in enumerate(lines) if line.startswith(f"{key} ="))
        lines[index] = f"{key} = {value}"
    return "\n".join(lines) + "\n"


def tiny() -> Recipe:
    """The recipe that `TINY` describes."""
    return parse_recipe(TINY, where="tiny.toml")


def drawing(seed: int, size: int = 168) -> np.ndarray:
    """Discs with hard edges, BGR: bilinear enlargement is poor, so there is much to learn."""
    rng = np.random.default_rng(seed)
    canvas = np.full((size, size, 3), 90, np.uint8)
    for _ in range(25):
        x, y, radius = (int(v) for v in rng.integers((0, 0, 4), (size, size, 25)))
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        cv2.circle(canvas, (x, y), radius, colour, thickness=-1, lineType=cv2.LINE_AA)
    return canvas


def photo(seed: int, size: int = 168) -> Photo:
    """A drawing as planes."""
    flat = cv2.cvtColor(drawing(seed, size), cv2.COLOR_BGR2YUV_I420)
    luma, chroma = flat[:size], flat[size:].reshape(2, size // 2, size // 2)
    return luma.astype(np.uint8), chroma[0].astype(np.uint8), chroma[1].astype(np.uint8)
