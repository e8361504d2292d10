"""The demo's picture: a harbour town at sunset, drawn procedurally with fine detail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .scene_nature import draw_birds, draw_boat, draw_lighthouse, draw_meadow
from .scene_town import QUAY, draw_town

Picture = NDArray[np.uint8]
"""RGB, (height, width, 3), 0..255."""
Field = NDArray[np.float32]
"""One number a pixel."""
Colour = tuple[int, int, int]

WIDTH, HEIGHT = 2560, 1080
HORIZON = 560
SUN = (760, 458)
HAZE: Colour = (250, 196, 142)
MAX_PX_PER_FRAME = 5.0
"""The camera's fastest: a short clip sees less of the harbour instead of rushing through it."""


def paint(width: int = WIDTH, height: int = HEIGHT, *, seed: int = 7) -> Picture:
    """Draw the harbour; the same seed gives the same picture.

    Returns
    -------
    RGB, uint8, (height, width, 3). The scene is composed at 2560×1080; other shapes get its middle.
    """
    rng = np.random.default_rng(seed)
    noise = _fractal(rng)
    sky = _ridges(_sky(noise), noise)
    canvas = np.clip(_sea(sky, noise), 0, 255).astype(np.uint8)
    draw_birds(canvas, rng)
    for waterline, draw in _in_the_water(rng):
        empty = canvas.copy()
        draw(canvas)
        _mirror(canvas, empty, noise, waterline=waterline)
    draw_meadow(canvas, rng)
    return _fit(_grade(canvas), width, height)


def pan(canvas: Picture, *, count: int, width: int = 1920, height: int = 1080) -> Iterator[Picture]:
    """Move a camera over `canvas`: `count` frames from left to right, closing in slightly.

    Yields
    ------
    RGB, uint8, (height, width, 3); positions are fractions of a pixel, as a real camera's are.
    """
    canvas_h, canvas_w = canvas.shape[:2]
    scale = max(width / canvas_w, height / canvas_h)
    if scale < 1:  # reduced properly here: the warp below uses only four pixels
        size = (max(width, round(canvas_w * scale)), max(height, round(canvas_h * scale)))
        canvas = np.asarray(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA), np.uint8)
        canvas_h, canvas_w = canvas.shape[:2]
        scale = 1.0
    padded = cv2.cvtColor(canvas, cv2.COLOR_RGB2RGBA)  # OpenCV warps four channels twice as fast as three
    for number in range(count):
        at = number / max(1, count - 1)
        ease = at * at * (3 - 2 * at)
        zoom = scale * (1.0 + 0.06 * ease)
        cell_x, cell_y = canvas_w - width / zoom, canvas_h - height / zoom
        travel = min(cell_x, MAX_PX_PER_FRAME * count)
        left = (cell_x - travel) / 2 + travel * ease
        matrix = np.array([[1 / zoom, 0, left], [0, 1 / zoom, 0.6 * cell_y]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        frame = cv2.warpAffine(padded, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGBA2RGB), np.uint8)


def pixelate(picture: Picture, *, block_px: float, phase: tuple[float, float] = (0.0, 0.0)) -> Picture:
    """Average `picture` over blocks and draw each block flat, as after nearest-neighbour enlargement.

    Parameters
    ----------
    picture
        uint8, (height, width) or (height, width, 3).
    block_px
        Block width and height in pixels, from 1; a fraction gives blocks of two sizes.
    phase
        Position of the first complete block, (x, y) in pixels.
    """
    if block_px < 1:
        raise ValueError(f"blocks of {block_px} px: a block is at least one pixel")
    rows = _edges(picture.shape[0], block_px, phase[1])
    columns = _edges(picture.shape[1], block_px, phase[0])
    sums = np.asarray(cv2.integral(picture))[rows][:, columns]
    totals = np.diff(np.diff(sums, axis=0), axis=1)
    heights, widths = np.diff(rows), np.diff(columns)
    areas = np.outer(heights, widths).reshape(len(heights), len(widths), *[1] * (picture.ndim - 2))
    small = ((totals + areas // 2) // areas).astype(np.uint8)
    return np.asarray(small.repeat(widths, axis=1).repeat(heights, axis=0), np.uint8)


def _edges(length: int, block_px: float, phase_px: float) -> NDArray[np.intp]:
    """Block boundaries along one axis: 0, ..., length."""
    block = np.floor((np.arange(length) + 0.5 - phase_px) / block_px)
    return np.concatenate(([0], np.flatnonzero(np.diff(block)) + 1, [length]))


def _fractal(rng: np.random.Generator, size: int = 1024) -> Field:
    """Cloud-like noise of every scale, mean 0 and deviation 1, that repeats without a seam."""
    y, x = np.meshgrid(np.fft.fftfreq(size), np.fft.rfftfreq(size), indexing="ij")
    falloff = (x * x + y * y + 1e-6) ** -0.85
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((size, size))) * falloff, s=(size, size))
    return np.asarray((field - field.mean()) / field.std(), np.float32)


def _sample(noise: Field, x: ArrayLike, y: ArrayLike) -> Field:
    """Noise at (x, y), in its own pixels, repeating for ever."""
    u, v = np.broadcast_arrays(np.mod(x, noise.shape[1]), np.mod(y, noise.shape[0]))
    args = (np.ascontiguousarray(u, np.float32), np.ascontiguousarray(v, np.float32), cv2.INTER_LINEAR)
    return np.asarray(cv2.remap(noise, *args, borderMode=cv2.BORDER_WRAP), np.float32)


def _step(low: float, high: float, value: Field) -> Field:
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _mix(under: Field, over: ArrayLike, share: ArrayLike) -> Field:
    """`over` laid on `under`, (..., 3); share 0..1."""
    weight = np.asarray(share, np.float32)[..., None]
    return np.asarray(under + (np.asarray(over, np.float32) - under) * weight, np.float32)


def _sky(noise: Field) -> Field:
    """Dusk blue down to gold, under a ceiling of cloud that the sun lights from below."""
    y, x = np.mgrid[0:HORIZON:2, 0:WIDTH:2].astype(np.float32) + 0.5  # soft things need half the pixels
    stops = np.array((0, 0.3, 0.58, 0.8, 1.0))
    colours = np.array(((52, 92, 146), (104, 142, 180), (192, 178, 172), (246, 198, 140), (255, 206, 124)))
    column = np.stack([np.interp(y[:, 0] / HORIZON, stops, c) for c in colours.T], axis=-1)
    sky = np.repeat(column[:, None].astype(np.float32), x.shape[1], axis=1)
    nearer = 1 / (0.16 + (HORIZON - y) / HORIZON)
    u, v = (x - SUN[0]) * nearer * 0.22 + 300, nearer * 150
    density = _sample(noise, u, v)
    lit = density - _sample(noise, u - (x - SUN[0]) * 0.012, v + 7)
    near = np.exp(-np.hypot((x - SUN[0]) / 1.7, y - SUN[1]) / 260)
    shade = _mix(np.full_like(sky, (128, 122, 150)), (214, 132, 104), near)
    cloud = _mix(shade, (255, 226, 184), _step(-0.25, 0.45, lit + 0.25 * near))
    sky = _mix(sky, cloud, _step(0.15, 1.5, density) * _step(0, 90, HORIZON - y) * 0.92)
    sky += (near * 0.5)[..., None] * np.array((150, 92, 28), np.float32)
    sky = np.asarray(cv2.resize(sky, (WIDTH, HORIZON), interpolation=cv2.INTER_CUBIC), np.float32)
    np.minimum(sky, 255, out=sky)
    box = np.s_[SUN[1] - 240 : HORIZON, SUN[0] - 240 : SUN[0] + 240]
    y, x = np.mgrid[box].astype(np.float32)
    disc = np.hypot(x - SUN[0], y - SUN[1])
    halo = np.exp(-disc / 34)[..., None] * 60
    sky[box] = _mix(sky[box] + halo, (255, 247, 216), np.clip(27.5 - disc, 0, 1))
    return sky


def _ridges(sky: Field, noise: Field) -> Field:
    """Three ranges of hills, each nearer, darker and less in the haze."""
    x = np.arange(WIDTH, dtype=np.float32)[None]
    rows = np.arange(380, HORIZON, dtype=np.float32)[:, None]
    part = sky[380:HORIZON]
    for i, (base, height, colour) in enumerate(
        ((496, 26, (206, 160, 142)), (520, 24, (164, 126, 126)), (546, 20, (112, 92, 104)))
    ):
        line = _sample(noise, x * (0.32 + 0.1 * i) + 400 * i, np.full_like(x, 97 * i + 40))
        gap = np.cos((x - 760 - 240 * i) / 430) * 22  # lower where the sun goes down
        top = np.asarray(base - 18 - line * height + gap, np.float32)
        u, v = x * 0.9 + rows * 0.25, rows * 1.5 - top * 0.8 + 300 * i
        slope = _sample(noise, u, v) - _sample(noise, u - 2.5, v + 1)
        haze = np.clip((rows - top) / (HORIZON - top + 1), 0, 1) ** 1.5 * 0.6
        land = (1 + 0.28 * np.clip(slope * 3, -1, 1))[..., None] * np.asarray(colour, np.float32)
        part = _mix(part, _mix(land, HAZE, haze), np.clip(rows - top + 0.5, 0, 1))
    return np.concatenate((sky[:380], part))


def _sea(sky: Field, noise: Field) -> Field:
    """The sky upside down, shaken by waves that shrink with distance, with a path of sun on it."""
    depth, x = np.mgrid[0 : HEIGHT - HORIZON, 0:WIDTH].astype(np.float32)
    nearer = 1 / (depth + 14)
    u, v = (x - WIDTH / 2) * nearer, nearer * 26000
    wave = _sample(noise, u * 52, v) - _sample(noise, u * 52, v + 9)
    fine = _sample(noise, u * 160, v * 3.4 + 500) - _sample(noise, u * 160, v * 3.4 + 506)
    swell = np.asarray(np.clip(wave + fine * 0.5, -2.5, 2.5), np.float32)
    source_y = np.clip(HORIZON - 1 - depth * 0.94 + swell * (2 + depth * 0.16), 0, HORIZON - 1)
    source_x = x + swell * (1 + depth * 0.02)
    water = cv2.remap(sky, source_x, source_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    water = _mix(np.asarray(water, np.float32), (26, 74, 92), np.clip(0.36 + depth / 1300 - swell * 0.16, 0, 0.85))
    path = np.exp(-(((x - SUN[0]) / (46 + depth * 0.34)) ** 2)) * np.exp(-depth / 520)
    glitter = (_step(-0.1, 0.6, swell) + 0.4 * np.exp(-depth / 60)) * path
    water = _mix(water, (255, 236, 176), np.clip(glitter, 0, 1))
    return np.concatenate((sky, _mix(water, HAZE, np.exp(-depth / 26) * 0.6)))


def _in_the_water(rng: np.random.Generator) -> Iterator[tuple[int, Callable[[Picture], None]]]:
    """Reflected objects, far to near: the row at which each meets the water, and how to draw it."""
    yield 640, partial(draw_lighthouse, rng=rng, x=330, y=640)
    yield QUAY, partial(draw_town, rng=rng)
    for x, y, size in (
        (905, 690, 0.42),
        (560, 770, 0.66),
        (1190, 846, 0.85),
        (2210, 880, 1.0),
        (1540, 924, 1.2),
    ):
        yield y, partial(draw_boat, rng=rng, x=x, y=y, size=size)


def _mirror(canvas: Picture, empty: Picture, noise: Field, *, waterline: int) -> None:
    """Lay the reflection of all that is on `canvas` and was not on `empty` on the water below `waterline`."""
    depth = min(canvas.shape[0] - waterline, waterline)
    standing = canvas[waterline - depth : waterline][::-1]
    there = (standing != empty[waterline - depth : waterline][::-1]).any(axis=-1)
    columns = np.flatnonzero(there.any(axis=0))
    left, right = max(0, int(columns[0]) - 12), min(canvas.shape[1], int(columns[-1]) + 13)
    y, x = np.mgrid[0:depth, 0 : right - left].astype(np.float32)
    u, v = x + left, y + waterline
    wave = _sample(noise, u * 0.9, v * 5.5) + 0.5 * _sample(noise, u * 2.1, v * 14)
    swing = 1.0 + y * 0.028
    args = (x + wave * swing, y + wave * swing * 1.6, cv2.INTER_LINEAR)
    picture = cv2.remap(np.ascontiguousarray(standing[:, left:right]), *args, borderMode=cv2.BORDER_REPLICATE)
    share = cv2.remap(there[:, left:right].astype(np.float32), *args, borderMode=cv2.BORDER_CONSTANT)
    share = np.asarray(share) * np.clip(0.74 - 0.12 * wave - y / 700, 0.1, 0.9)
    dark = np.asarray(picture, np.float32) * (0.80, 0.82, 0.84)
    water = canvas[waterline : waterline + depth, left:right]
    water[:] = np.clip(_mix(water.astype(np.float32), dark, share), 0, 255)


def _grade(canvas: Picture) -> Picture:
    """Warm light spilling from the sun, a little contrast, darker corners."""
    y, x = np.mgrid[0 : HEIGHT // 8, 0 : WIDTH // 8].astype(np.float32) * 8 + 4
    spill = np.exp(-np.hypot((x - SUN[0]) / 1.5, y - SUN[1]) / 330)[..., None] * np.array((78, 46, 14), np.float32)
    corners = 1.06 - 0.26 * ((x / WIDTH - 0.5) ** 2 + (y / HEIGHT - 0.5) ** 2)[..., None] * np.ones(3, np.float32)
    spill, corners = (np.asarray(cv2.resize(v, (WIDTH, HEIGHT)), np.float32) for v in (spill, corners))
    light = canvas * corners
    light += spill * (1 - light / 300)
    np.clip(light, 0, 255, out=light)
    curve = np.arange(256) / 255.0
    curve = 255 * (curve + 0.10 * np.sin(2 * np.pi * (curve - 0.5)) / (2 * np.pi) * 2)
    return np.asarray(cv2.LUT(light.astype(np.uint8), np.clip(curve, 0, 255).astype(np.uint8)), np.uint8)


def _fit(canvas: Picture, width: int, height: int) -> Picture:
    """The middle of `canvas` at another size."""
    if (height, width) == canvas.shape[:2]:
        return canvas
    scale = max(width / WIDTH, height / HEIGHT)
    crop_w, crop_h = round(width / scale), round(height / scale)
    left, top = (WIDTH - crop_w) // 2, (HEIGHT - crop_h) // 2
    crop = canvas[top : top + crop_h, left : left + crop_w]
    shrink = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(crop, (width, height), interpolation=shrink), np.uint8)
