"""Drawing primitives of the demo's picture, and its surroundings: trees, boats, birds, grass."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Picture = NDArray[np.uint8]
"""RGB, (height, width, 3), 0..255."""
Colour = tuple[float, float, float]

CREAM: Colour = (250, 238, 208)
PINE: Colour = (62, 74, 42)
CYPRESS: Colour = (48, 62, 44)


def shade(colour: Colour, tone: float) -> Colour:
    """`colour` in more or less light; 1 leaves it alone."""
    return (min(255.0, colour[0] * tone), min(255.0, colour[1] * tone), min(255.0, colour[2] * tone))


def fill(canvas: Picture, points: ArrayLike, colour: Colour) -> None:
    """A polygon, its corners at fractions of a pixel."""
    cv2.fillPoly(canvas, [np.round(np.asarray(points, float) * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)


def line(canvas: Picture, points: ArrayLike, colour: Colour, width_px: int) -> None:
    """A line through `points`, at fractions of a pixel."""
    corners = np.round(np.asarray(points, float) * 16).astype(np.int32)
    cv2.polylines(canvas, [corners], False, colour, width_px, cv2.LINE_AA, 4)


def draw_tree(
    canvas: Picture, rng: np.random.Generator, foot: tuple[float, float], *, height: float, slim: bool
) -> None:
    """A cypress (slim) or an umbrella pine, in dabs of leaf that catch the light from the left."""
    x, y = foot
    if slim:
        base, centre, radii = CYPRESS, (x, y - height * 0.5), (height * 0.13, height * 0.5)
    else:
        base, centre, radii = PINE, (x, y - height * 0.72), (height * 0.42, height * 0.26)
        line(canvas, ((x, y), (x + height * 0.04, y - height * 0.6)), (84, 60, 44), max(1, int(height / 18)))
    count = int(60 + height * 3.2)
    angle, reach = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.random(count))
    taper = np.where(np.sin(angle) < 0, 1 - 0.75 * np.abs(np.sin(angle)) * reach, 1.0) if slim else np.ones(count)
    dx, dy = np.cos(angle) * reach * taper, np.sin(angle) * reach
    tone = 0.8 - 0.55 * dx * taper - 0.4 * dy + rng.normal(0, 0.16, count)
    for i in np.argsort(tone + rng.normal(0, 0.25, count)):
        dab = (int((centre[0] + dx[i] * radii[0]) * 8), int((centre[1] + dy[i] * radii[1]) * 8))
        warm = max(0.0, float(tone[i]) - 1.0)
        colour = shade((base[0] + 120 * warm, base[1] + 70 * warm, base[2]), float(tone[i]))
        cv2.circle(canvas, dab, int(rng.uniform(8, 8 + height * 0.2)), colour, -1, cv2.LINE_AA, 3)


def draw_rock(canvas: Picture, rng: np.random.Generator, middle: tuple[float, float], colour: Colour) -> None:
    """A broken stone, a dozen pixels across."""
    corners = rng.uniform(-1, 1, (6, 2)) * (11, 6) + middle
    fill(canvas, cv2.convexHull(corners.astype(np.float32))[:, 0], colour)


def draw_boat(canvas: Picture, rng: np.random.Generator, x: int, y: int, size: float) -> None:
    """A sailing boat at anchor: hull, cabin, mast, boom with a furled sail, rigging."""
    hull = np.array(((-92, -26), (96, -32), (74, 0), (-70, 0))) * size + (x, y)
    colour = ((244, 236, 220), (40, 78, 104), (150, 52, 44))[int(rng.integers(3))]
    cabin = np.array(((-34, -29), (-26, -44), (26, -45), (40, -31))) * size + (x, y)
    fill(canvas, cabin, (238, 222, 196))
    for port in range(4):
        at = (int(x + (-18 + port * 13) * size), int(y - 37 * size))
        cv2.circle(canvas, at, max(1, int(3 * size)), (60, 70, 84), -1, cv2.LINE_AA)
    fill(canvas, hull, shade(colour, 0.82))
    line(canvas, (hull[0] + (2, 5 * size), hull[1] + (-4, 5 * size)), (196, 150, 90), max(1, int(3 * size)))
    line(canvas, (hull[3] + (-3, -4 * size), hull[2] + (4, -4 * size)), (120, 44, 40), max(1, int(4 * size)))
    top = np.array((6, -262)) * size + (x, y)
    spars: tuple[tuple[ArrayLike, Colour, float], ...] = (
        (((6, -30), (6, -262)), (236, 206, 166), 4),
        (((6, -62), (-80, -58)), (214, 180, 140), 3),
        (((0, -66), (-74, -62)), CREAM, 7),
    )
    for ends, wood, width in spars:
        line(canvas, np.array(ends) * size + (x, y), wood, max(1, int(width * size)))
    for end in ((-92, -26), (96, -32), (-40, -28), (44, -30)):
        line(canvas, (top, np.array(end) * size + (x, y)), (104, 88, 80), 1)
    for step in range(-224, -80, 28):
        line(canvas, np.array(((3, step), (9, step))) * size + (x, y), (150, 120, 96), 1)
    flag = np.array(((0, 0), (26, 5), (0, 12))) * size + top
    fill(canvas, flag, (206, 66, 48))


def draw_lighthouse(canvas: Picture, rng: np.random.Generator, x: int, y: int) -> None:
    """A small light on a rock in the bay."""
    for _ in range(120):
        middle = (x + rng.normal(0, 34), y - 3 - abs(rng.normal(0, 6)))
        draw_rock(canvas, rng, middle, shade((128, 98, 84), rng.uniform(0.5, 1.25)))
    fill(canvas, ((x - 10, y - 8), (x + 10, y - 8), (x + 7, y - 92), (x - 7, y - 92)), (240, 226, 204))
    fill(canvas, ((x + 2, y - 8), (x + 10, y - 8), (x + 7, y - 92), (x + 2, y - 92)), (176, 150, 136))
    for band in (30, 62):
        fill(
            canvas,
            ((x - 9, y - band), (x + 9, y - band), (x + 8, y - band - 14), (x - 8, y - band - 14)),
            (186, 58, 46),
        )
    cv2.rectangle(canvas, (x - 10, y - 95), (x + 10, y - 92), (60, 48, 48), -1)
    cv2.rectangle(canvas, (x - 5, y - 106), (x + 5, y - 95), (255, 240, 180), -1)
    fill(canvas, ((x - 8, y - 106), (x + 8, y - 106), (x, y - 116)), (150, 50, 42))


def draw_birds(canvas: Picture, rng: np.random.Generator) -> None:
    """Gulls: two bent wings each."""
    wing = np.array(((-1, -0.16), (-0.72, -0.36), (-0.4, -0.34), (-0.12, -0.06), (0, 0)))
    for _ in range(26):
        span, lift, tilt = rng.uniform(5, 13), rng.uniform(0.6, 1.5), rng.normal(0, 0.18)
        shape = np.concatenate((wing, wing[::-1] * (-1, 1))) * (span, span * lift)
        shape[:, 1] += shape[:, 0] * tilt
        shape += (rng.normal(1330, 330), rng.normal(255, 70))
        line(canvas, shape, (74, 66, 80), 1)


def draw_meadow(canvas: Picture, rng: np.random.Generator) -> None:
    """The bank we stand on: thousands of blades, lit at their tips, and flowers among them."""
    height = canvas.shape[0]
    xs = np.arange(0, 1500)
    tops = height - 172 * np.exp(-((xs / 760.0) ** 2)) + 8 * np.sin(xs / 47) + 34
    fill(canvas, np.column_stack((np.r_[xs, 1500, 0], np.r_[tops, height, height])), (58, 58, 32))
    count = 9000
    x = rng.uniform(-10, 1400, count)
    depth = np.sort(rng.random(count))
    y = np.interp(x, xs, tops) + depth * 150
    long = (14 + 30 * depth) * rng.uniform(0.6, 1.5, count)
    lean = rng.normal(0.22, 0.3, count)
    tone = rng.uniform(0.55, 1.25, count)
    for i in np.flatnonzero(y - long < height):
        bend = (x[i] + long[i] * lean[i] * 0.35, y[i] - long[i] * 0.6)
        tip = (x[i] + long[i] * lean[i], y[i] - long[i])
        line(canvas, ((x[i], y[i]), bend), shade((92, 98, 44), tone[i]), 2 if depth[i] > 0.5 else 1)
        line(canvas, (bend, tip), shade((196, 172, 84), tone[i]), 1)
    for i in rng.choice(count, 520, replace=False):
        flower = ((214, 58, 40), (250, 236, 214), (244, 186, 66), (150, 110, 186))[int(rng.integers(4))]
        at = (int((x[i] + long[i] * lean[i]) * 8), int((y[i] - long[i]) * 8))
        cv2.circle(canvas, at, int(14 + 18 * depth[i]), shade(flower, 0.7), -1, cv2.LINE_AA, 3)
        cv2.circle(canvas, (at[0] - 5, at[1] - 6), int(9 + 12 * depth[i]), flower, -1, cv2.LINE_AA, 3)
