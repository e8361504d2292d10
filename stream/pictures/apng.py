"""Animated PNG encoder: only what changes of each frame, lossless, with exact delays."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from .animation_encoder import Region, Rgba, changed_region

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGBA = 6
_LIMIT = 0xFFFF
_COMPRESSION = 6


class ApngEncoder:
    """Writes an animated PNG (PNG specification, third edition, 11.3.6)."""

    def __init__(self, path: Path, *, size: tuple[int, int], loops: int | None, profile: bytes | None = None) -> None:
        """`size`: (width, height) in pixels. `loops`: repetitions; 0 for ever, None if it is shown once.

        `profile`: an ICC colour profile.
        """
        self._loops = 1 if loops is None else loops + 1 if loops else 0  # APNG counts showings
        self._frames = self._sequence = 0
        self._last: Rgba | None = None
        self._file = path.open("wb")
        self._file.write(_SIGNATURE + _chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, _RGBA, 0, 0, 0)))
        if profile is not None:
            self._file.write(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(profile)))
        self._control_at = self._file.seek(0, os.SEEK_CUR)
        self._file.write(self._control())

    def __enter__(self) -> ApngEncoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, picture: Rgba, delay_s: Fraction, *, exact: bool) -> None:
        """Append a frame, shown for `delay_s`; always lossless."""
        region = Region.of(picture) if self._last is None else changed_region(self._last, picture)
        self._last = picture
        delay = delay_s.limit_denominator(1000 if delay_s > 1 else _LIMIT)
        place = (region.width, region.height, region.left, region.top)
        numbers = (self._next(), *place, min(delay.numerator, _LIMIT), delay.denominator, 0, 0)
        self._file.write(_chunk(b"fcTL", struct.pack(">IIIIIHHBB", *numbers)))
        for data in _image_data(region.cut(picture)):
            if self._frames:
                self._file.write(_chunk(b"fdAT", struct.pack(">I", self._next()) + data))
            else:
                self._file.write(_chunk(b"IDAT", data))
        self._frames += 1

    def finish(self) -> None:
        """Write the end of the file and the number of frames."""
        self._file.write(_chunk(b"IEND", b""))
        self._file.seek(self._control_at)
        self._file.write(self._control())

    def _control(self) -> bytes:
        return _chunk(b"acTL", struct.pack(">II", self._frames, self._loops))

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence - 1


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _image_data(picture: Rgba) -> Iterator[bytes]:
    """The compressed image data of a picture, from a PNG of its own."""
    bgra = np.ascontiguousarray(picture[:, :, [2, 1, 0, 3]])
    _, encoded = cv2.imencode(".png", bgra, [cv2.IMWRITE_PNG_COMPRESSION, _COMPRESSION])
    data, position = encoded.tobytes(), len(_SIGNATURE)
    while position < len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"IDAT":
            yield data[position + 8 : position + 8 + length]
        position += 12 + length
