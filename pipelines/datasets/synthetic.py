"""Synthetic pictures: screens, grids and pixel art, whose regular structure is not from enlargement."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import cv2
import numpy as np

from deepclarity.models.verdict import Blocks, Bytes

from .nearest import enlarged_index

_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_PLAIN, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX)
_SYLLABLES = ("ka", "lo", "mer", "in", "sta", "tion", "ve", "ru", "the", "of", "and", "ing", "pro", "42", "er", "ob")

Draw = Callable[[np.random.Generator, int, int], Bytes]
"""(rng, width, height) → BGR, uint8 (height, width, 3)."""
Colour = tuple[int, int, int]


def screen(rng: np.random.Generator, width: int, height: int) -> Bytes:
    """A desktop: windows with paragraphs or tables, black on white or white on black."""
    paper, ink = (
        (_grey(rng, 225, 256), _grey(rng, 0, 80)) if rng.random() < 0.7 else (_grey(rng, 0, 50), _grey(rng, 180, 256))
    )
    canvas = np.full((height, width, 3), paper if rng.random() < 0.4 else _colour(rng), np.uint8)
    size = max(0.33, min(height, width) / float(rng.uniform(900, 2600)))
    for _ in range(int(rng.integers(1, 4))):
        left, top = (int(side * rng.uniform(0, 0.4)) for side in (width, height))
        right, bottom = left + int(width * rng.uniform(0.4, 0.9)), top + int(height * rng.uniform(0.4, 0.9))
        cv2.rectangle(canvas, (left, top), (right, bottom), paper, -1)
        cv2.rectangle(canvas, (left, top), (right, top + round(30 * size)), _colour(rng), -1)
        cv2.rectangle(canvas, (left, top), (right, bottom), ink, 1)
        box = (left + 8, top + round(40 * size), min(right, width) - 8, min(bottom, height) - 4)
        (_paragraphs if rng.random() < 0.55 else _table)(canvas, rng, box, size, ink)
    return canvas


def _paragraphs(
    canvas: Bytes, rng: np.random.Generator, box: tuple[int, int, int, int], size: float, ink: Colour
) -> None:
    font, smooth = int(rng.choice(_FONTS)), cv2.LINE_AA if rng.random() < 0.7 else cv2.LINE_8
    leading = max(9, round(float(rng.uniform(26, 38)) * size))
    for y in range(box[1] + leading, box[3], leading):
        if rng.random() < 0.12:
            continue
        line = _words(rng, int((box[2] - box[0]) * rng.uniform(0.6, 1) / (20 * size)))
        cv2.putText(canvas, line, (box[0], y), font, size, ink, max(1, round(size)), smooth)


def _table(canvas: Bytes, rng: np.random.Generator, box: tuple[int, int, int, int], size: float, ink: Colour) -> None:
    """A table: cells of equal size with a word or number in each."""
    row, column = max(12, round(float(rng.uniform(24, 40)) * size)), max(30, round(float(rng.uniform(90, 260)) * size))
    rule = _grey(rng, 100, 200)
    for y in range(box[1], box[3], row):
        cv2.line(canvas, (box[0], y), (box[2], y), rule)
    for x in range(box[0], box[2], column):
        cv2.line(canvas, (x, box[1]), (x, box[3]), rule)
        for y in range(box[1], box[3] - row, row):
            if rng.random() < 0.8:
                text = _words(rng, 8) if rng.random() < 0.4 else f"{rng.uniform(0, 9999):.2f}"
                cv2.putText(canvas, text, (x + 3, y + row - 4), _FONTS[0], 0.8 * size, ink, 1, cv2.LINE_AA)


def bricks(rng: np.random.Generator, width: int, height: int) -> Bytes:
    """A wall: courses of bricks in mortar, every second one shifted by half a brick."""
    high, mortar = int(rng.integers(8, 40)), int(rng.integers(1, 4))
    wide = int(high * rng.uniform(1.8, 3.2))
    canvas = np.full((height, width, 3), _grey(rng, 120, 220), np.uint8)
    tone = np.array(rng.integers(40, 180, 3), np.float32)
    for number, y in enumerate(range(0, height, high)):
        for x in range(-(number % 2) * wide // 2, width, wide):
            shade = (tone * rng.uniform(0.75, 1.25)).clip(0, 255).tolist()
            cv2.rectangle(canvas, (x + mortar, y + mortar), (x + wide - 1, y + high - 1), shade, -1)
    return _textured(canvas, rng, 5)


def facade(rng: np.random.Generator, width: int, height: int) -> Bytes:
    """Regular rows of windows in a wall, lit or dark, sometimes slightly tilted."""
    step_x, step_y = (int(v) for v in rng.integers(14, 90, 2))
    canvas = np.full((height, width, 3), _colour(rng), np.uint8)
    pane = int(step_x * rng.uniform(0.4, 0.75)), int(step_y * rng.uniform(0.4, 0.75))
    for y in range(step_y // 4, height, step_y):
        for x in range(step_x // 4, width, step_x):
            light = int(rng.integers(20, 120) if rng.random() < 0.8 else rng.integers(170, 250))
            cv2.rectangle(canvas, (x, y), (x + pane[0], y + pane[1]), (light, light, light), -1)
            cv2.line(canvas, (x + pane[0] // 2, y), (x + pane[0] // 2, y + pane[1]), (60, 60, 60))
    if rng.random() < 0.4:
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.uniform(-4, 4)), 1.0)
        canvas = cast(Bytes, cv2.warpAffine(canvas, turn, (width, height), borderMode=cv2.BORDER_REFLECT))
    return _textured(canvas, rng, 4)


def mesh(rng: np.random.Generator, width: int, height: int) -> Bytes:
    """Thin lines or a perforated sheet in front of a gradient, possibly slanted."""
    step, thickness = int(rng.integers(4, 28)), int(rng.integers(1, 3))
    canvas = np.full((height, width, 3), _colour(rng), np.uint8)
    if rng.random() < 0.35:
        for y in range(step // 2, height, step):
            for x in range(step // 2, width, step):
                cv2.circle(canvas, (x, y), max(1, step // 4), (30, 30, 30), -1, cv2.LINE_AA)
        return _textured(canvas, rng, 3)
    ink, slant = _colour(rng), int(step * rng.integers(0, 6)) if rng.random() < 0.5 else 0
    for x in range(-height, width + height, step):
        cv2.line(canvas, (x, 0), (x + slant, height), ink, thickness, cv2.LINE_AA)
    for y in range(-width, height + width, step):
        cv2.line(canvas, (0, y), (width, y + slant), ink, thickness, cv2.LINE_AA)
    return _textured(canvas, rng, 3)


def spreadsheet(rng: np.random.Generator, width: int, height: int) -> Bytes:
    """A spreadsheet over the entire screen, few cells filled."""
    canvas = np.full((height, width, 3), 255, np.uint8)
    size = max(0.33, min(height, width) / float(rng.uniform(900, 2200)))
    _table(canvas, rng, (0, round(50 * size), width, height), size, _grey(rng, 0, 60))
    return canvas


def code(rng: np.random.Generator, width: int, height: int) -> Bytes:
    """A square of black and white modules like a QR code, on paper, over at most half of the picture."""
    modules = int(rng.integers(21, 58))
    size = max(2, int(min(width, height) * rng.uniform(0.25, 0.8) / modules))
    canvas = np.full((height, width, 3), _grey(rng, 200, 256), np.uint8)
    bits = np.where(rng.random((modules, modules)) < 0.5, 20, 235).astype(np.uint8)
    for y, x in ((0, 0), (0, modules - 7), (modules - 7, 0)):
        bits[y : y + 7, x : x + 7] = 20
        bits[y + 1 : y + 6, x + 1 : x + 6] = 235
        bits[y + 2 : y + 5, x + 2 : x + 5] = 20
    large = bits.repeat(size, axis=0).repeat(size, axis=1)[: height - 2, : width - 2, None]
    top, left = (
        int(rng.integers(0, side - inner)) for side, inner in zip((height, width), large.shape[:2], strict=True)
    )
    canvas[top : top + large.shape[0], left : left + large.shape[1]] = large
    return canvas


GRIDS: tuple[Draw, ...] = (bricks, facade, mesh, spreadsheet, code)


def pixel_art(rng: np.random.Generator, width: int, height: int) -> tuple[Bytes, Blocks]:
    """A game scene in few colours, drawn small and enlarged by an integer factor; and its lattice."""
    factor = int(rng.integers(2, 9))
    columns, rows = enlarged_index(width, factor, 0), enlarged_index(height, factor, 0)
    small = np.full((int(rows[-1]) + 1, int(columns[-1]) + 1, 3), _colour(rng), np.uint8)
    palette = [_colour(rng) for _ in range(8)]
    for _ in range(int(rng.integers(8, 20))):  # platforms and clouds
        y, x = (int(rng.integers(side)) for side in small.shape[:2])
        small[y : y + 4, x : x + small.shape[1] // 4] = palette[int(rng.integers(8))]
    for _ in range(int(rng.integers(20, 60))):  # figures, symmetrical
        half = rng.integers(0, 5, (int(rng.integers(6, 16)), int(rng.integers(3, 8))))
        figure = np.concatenate([half, half[:, ::-1]], axis=1)
        y, x = (
            int(rng.integers(0, max(1, have - want))) for have, want in zip(small.shape, figure.shape, strict=False)
        )
        spot = small[y : y + figure.shape[0], x : x + figure.shape[1]]
        figure = figure[: spot.shape[0], : spot.shape[1]]
        spot[figure > 0] = np.array(palette, np.uint8)[figure[figure > 0]]
    return np.ascontiguousarray(small[rows][:, columns]), Blocks(factor, factor)


def cartoon(rng: np.random.Generator, width: int, height: int) -> Bytes:
    """Shapes with soft shading and smooth outlines, as in animated films."""
    high, wide = 2 * height, 2 * width
    ramp = np.linspace(0, 1, high, dtype=np.float32)[:, None, None]
    sky, ground = (np.array(_colour(rng), np.float32) for _ in range(2))
    canvas = np.repeat(sky + (ground - sky) * ramp, wide, axis=1)
    for _ in range(int(rng.integers(15, 60))):
        mask = np.zeros((high, wide), np.uint8)
        centre = int(rng.integers(wide)), int(rng.integers(high))
        axes = tuple(int(high * v) for v in rng.uniform(0.02, 0.25, 2))
        if rng.random() < 0.6:
            cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
        else:
            corners = np.array(centre) + rng.uniform(-1, 1, (int(rng.integers(3, 7)), 2)) * max(axes)
            cv2.fillPoly(mask, [corners.astype(np.int32)], 255)
        shade = np.array(_colour(rng), np.float32) * (0.7 + 0.5 * np.linspace(0, 1, wide, dtype=np.float32)[:, None])
        canvas = np.where(mask[..., None] > 0, shade[None], canvas)
    small = cv2.resize(canvas.clip(0, 255).astype(np.uint8), (width, height), interpolation=cv2.INTER_AREA)
    return cast(Bytes, small)


def bars(width: int, height: int) -> Bytes:
    """Seven colour bars above a row of greys, as on a test card."""
    canvas = np.zeros((height, width, 3), np.uint8)
    for number in range(7):
        levels = [191 if (6 - number + 1) >> bit & 1 else 0 for bit in (0, 2, 1)]
        canvas[: height * 2 // 3, width * number // 7 : width * (number + 1) // 7] = levels
    for number in range(11):
        canvas[height * 2 // 3 :, width * number // 11 : width * (number + 1) // 11] = round(25.5 * number)
    return canvas


def _words(rng: np.random.Generator, letters: int) -> str:
    words, length = [], 0
    while length < letters:
        words.append("".join(str(s) for s in rng.choice(_SYLLABLES, int(rng.integers(1, 5)))))
        length += len(words[-1]) + 1
    return " ".join(words)


def _textured(canvas: Bytes, rng: np.random.Generator, spread: float) -> Bytes:
    """Slight unevenness, as of stone or steel."""
    noise = rng.standard_normal((*canvas.shape[:2], 1), dtype=np.float32) * spread
    return cast(Bytes, (canvas + noise + 0.5).clip(0, 255).astype(np.uint8))


def _grey(rng: np.random.Generator, low: int, high: int) -> Colour:
    value = int(rng.integers(low, high))
    return value, value, value


def _colour(rng: np.random.Generator) -> Colour:
    blue, green, red = rng.integers(0, 256, 3).tolist()
    return blue, green, red
