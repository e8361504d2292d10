"""Frame numbers drawn into pictures, readable after any codec, scaling and letterbox.

A row of twenty squares along the upper edge: white, sixteen bits from the highest, their parity, black, white.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Luma = NDArray[np.uint8]
"""(height, width), limited range."""

LIMIT = 1 << 16
"""Numbers wrap around to 0 at this value."""
_SQUARES = 20
_BLACK, _WHITE = 16, 235
_DARK, _BRIGHT = 90, 160
"""Luma between these levels is unreadable."""


def write_number(luma: Luma, number: int) -> None:
    """Draw `number` over the upper edge of a picture."""
    height = strip_height(luma.shape[1])
    for (left, right), bright in zip(_edges(luma.shape[1]), _squares(number % LIMIT), strict=True):
        luma[:height, left:right] = _WHITE if bright else _BLACK


def read_number(luma: Luma) -> int | None:
    """The number in a picture, which may have black bars; None if unreadable."""
    rows = np.flatnonzero((luma > _BRIGHT).any(axis=1))
    if not len(rows) or rows[0] + 6 > luma.shape[0]:
        return None
    top = int(rows[0])
    columns = np.flatnonzero(luma[top + 2 : top + 6].mean(axis=0) > (_DARK + _BRIGHT) / 2)
    if not len(columns):
        return None
    left, width = int(columns[0]), int(columns[-1] - columns[0] + 1)
    if width < 4 * _SQUARES:
        return None
    return _read_strip(luma[top : top + width // _SQUARES, left : left + width])


def strip_height(width: int) -> int:
    """Height of the number in rows, even."""
    return max(4, round(width / _SQUARES / 2) * 2)


def _read_strip(strip: Luma) -> int | None:
    inset = max(1, strip.shape[0] // 4)
    middle = strip[inset : max(inset + 1, strip.shape[0] - inset)]
    levels = [middle[:, left + inset : right - inset].mean() for left, right in _edges(strip.shape[1])]
    if any(_DARK < level < _BRIGHT for level in levels):
        return None
    bits = [level > _BRIGHT for level in levels]
    number = sum(1 << place for place, bright in enumerate(reversed(bits[1:17])) if bright)
    return number if bits == list(_squares(number)) else None


def _squares(number: int) -> Iterator[bool]:
    """Which of the twenty squares are white."""
    yield True
    yield from (bool(number >> place & 1) for place in reversed(range(16)))
    yield bool(number.bit_count() % 2)
    yield from (False, True)


def _edges(width: int) -> Iterator[tuple[int, int]]:
    """Left and right edge of each square."""
    edges = np.round(np.linspace(0, width, _SQUARES + 1)).astype(int).tolist()
    yield from itertools.pairwise(edges)
