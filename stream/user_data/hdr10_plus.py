"""HDR10+ metadata (SMPTE ST 2094-40) as a T.35 message, from FFmpeg's structure of it (`AVDynamicHDRPlus`).

Matroska holds that of VP9 beside the packets: decoders hand on the structure, and nothing else.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from .messages import UserDataKind, prefix_of

_BYTES = 11_304
"""Of the structure; another size means another layout."""
_WINDOWS, _WINDOW_BYTES = 4, 428
_MAX_LUMINANCE, _ACTUAL_PEAKS, _MASTERING_PEAKS = 1288, 1296, 6300
"""Where parts of the structure lie, in bytes."""
_ROW = 25
"""Peaks in one row of the structure."""

_Fields = Iterator[tuple[int, int]]
"""Values, and the bits of each."""


def message_of(structure: bytes) -> bytes | None:
    """The message; None if the structure is not laid out as it is known here."""
    if len(structure) != _BYTES or not 1 <= structure[2] <= 3:
        return None
    bits = "".join(f"{min(value, (1 << count) - 1):0{count}b}" for value, count in _fields(structure))
    padded = bits.ljust(-(-len(bits) // 8) * 8, "0")
    return prefix_of(UserDataKind.HDR10_PLUS) + int(padded, 2).to_bytes(len(padded) // 8, "big")


def _fields(data: bytes) -> _Fields:
    windows = [
        data[at : at + _WINDOW_BYTES] for at in range(_WINDOWS, _WINDOWS + data[2] * _WINDOW_BYTES, _WINDOW_BYTES)
    ]
    yield data[1], 8
    yield len(windows), 2
    for window in windows[1:]:
        yield from _ellipse(window)
    yield _scaled(data, _MAX_LUMINANCE, 1), 27
    yield from _peaks(data[_ACTUAL_PEAKS:])
    for window in windows:
        yield from _distribution(window)
    yield from _peaks(data[_MASTERING_PEAKS:])
    for window in windows:
        yield from _tone_mapping(window)


def _ellipse(window: bytes) -> _Fields:
    for at in (0, 8, 16, 24):
        yield _scaled(window, at, 1), 16
    centre_x, centre_y, angle, inner, outer, outer_minor, overlap = struct.unpack_from("=HHBxHHHI", window, 32)
    yield from ((centre_x, 16), (centre_y, 16), (angle, 8), (inner, 16), (outer, 16), (outer_minor, 16), (overlap, 1))


def _peaks(data: bytes) -> _Fields:
    flag, rows, columns = data[:3]
    yield flag, 1
    if flag:
        yield from ((rows, 5), (columns, 5))
        for row in range(rows):
            for column in range(columns):
                yield _scaled(data, 4 + 8 * (_ROW * row + column), 15), 4


def _distribution(window: bytes) -> _Fields:
    for at in (48, 56, 64, 72):  # the largest red, green and blue, and the mean of the largest of the three
        yield _scaled(window, at, 100_000), 17
    yield window[80], 4
    for at in range(84, 84 + 12 * window[80], 12):
        yield window[at], 7
        yield _scaled(window, at + 4, 100_000), 17
    yield _scaled(window, 264, 1000), 10


def _tone_mapping(window: bytes) -> _Fields:
    yield window[272], 1
    if window[272]:
        yield from ((_scaled(window, 276, 4095), 12), (_scaled(window, 284, 4095), 12), (window[292], 4))
        for at in range(296, 296 + 8 * window[292], 8):
            yield _scaled(window, at, 1023), 10
    yield window[416], 1
    if window[416]:
        yield _scaled(window, 420, 8), 6


def _scaled(data: bytes, at: int, unit: int) -> int:
    """The fraction at this place, in parts of 1/`unit`."""
    numerator, denominator = struct.unpack_from("=ii", data, at)
    return max(0, round(numerator * unit / denominator)) if denominator else 0
