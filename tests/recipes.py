"""Recipes and pictures that train in a second."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np

from deepclarity.models.train.recipe import Recipe, read_recipe
from deepclarity.pipelines.degrade import Photo

RECIPE_FILE = Path(str(files("deepclarity.configs").joinpath("train-turbo.toml")))


def tiny() -> Recipe:
    """A `turbo` recipe for `drawing`s."""
    return replace(
        read_recipe(RECIPE_FILE),
        blocks=1, channels=8, steps=20, batch=4, patch_px=16, warmup_steps=1, ema_decay=0.5, start_from="",
        scales=(2, 4), scale_shares=(0.3, 0.7), learning_rate=3e-3, validation_photos=1, checkpoint_s=1000.0,
        bfloat16=False, widening=0, pixelated_share=0.0, renew_steps=1000,
    )  # fmt: skip


def drawing(seed: int, size: int = 168) -> np.ndarray:
    """Discs with hard edges, BGR: bilinear enlargement does badly, so there is much to learn."""
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
