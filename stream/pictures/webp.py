"""Animated WebP encoder: only what changes of each frame, with exact delays; lossless where that is asked for."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np
from PIL import Image

from .animation_encoder import Delays, Region, Rgba, changed_region

MAX_SIDE_PX = 16_383
_ALPHA, _PROFILE, _ANIMATION = 0x10, 0x20, 0x02
_OVERWRITE = 0x02
"""Blending method: the frame replaces what is below it, transparent pixels included."""
_MAX_DELAY = 0xFFFFFF
_QUALITY = 90
_LOSSLESS_EFFORT = 20
"""Of 0..100; twice the time of this saves a few percent."""


class WebpEncoder:
    """Writes an animated WebP (RFC 9649)."""

    def __init__(self, path: Path, *, size: tuple[int, int], loops: int | None, profile: bytes | None = None) -> None:
        """`size`: (width, height) in pixels. `loops`: repetitions; 0 for ever, None if it is shown once.

        `profile`: an ICC colour profile.
        """
        self._delays = Delays(Fraction(1, 1000), maximum=_MAX_DELAY)
        self._last: Rgba | None = None
        self._file = path.open("wb")
        flags = _ANIMATION | _ALPHA | (_PROFILE if profile is not None else 0)
        canvas = b"".join((side - 1).to_bytes(3, "little") for side in size)
        showings = 1 if loops is None else min(0xFFFF, loops + 1) if loops else 0
        self._file.write(b"RIFF\0\0\0\0WEBP" + _chunk(b"VP8X", bytes([flags, 0, 0, 0]) + canvas))
        if profile is not None:
            self._file.write(_chunk(b"ICCP", profile))
        self._file.write(_chunk(b"ANIM", bytes(4) + showings.to_bytes(2, "little")))

    def __enter__(self) -> WebpEncoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, picture: Rgba, delay_s: Fraction, *, exact: bool) -> None:
        """Append a frame, shown for `delay_s`; lossless if `exact`."""
        region = Region.of(picture) if self._last is None else changed_region(self._last, picture, even=True)
        self._last = picture
        numbers = (region.left // 2, region.top // 2, region.width - 1, region.height - 1, self._delays.next(delay_s))
        head = b"".join(number.to_bytes(3, "little") for number in numbers) + bytes([_OVERWRITE])
        self._file.write(_chunk(b"ANMF", head + b"".join(_image_chunks(region.cut(picture), exact=exact))))

    def finish(self) -> None:
        """Write the size of the file."""
        size = self._file.seek(0, os.SEEK_CUR) - 8
        self._file.seek(4)
        self._file.write(size.to_bytes(4, "little"))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return kind + len(data).to_bytes(4, "little") + data + bytes(len(data) % 2)


def _image_chunks(picture: Rgba, *, exact: bool) -> Iterator[bytes]:
    """The chunks of the image itself and its opacity, from a WebP of its own."""
    opaque = bool((picture[:, :, 3] == 255).all())
    image = Image.fromarray(np.ascontiguousarray(picture[:, :, :3] if opaque else picture))
    file = io.BytesIO()
    if exact:
        image.save(file, "WEBP", lossless=True, exact=True, quality=_LOSSLESS_EFFORT, method=1)
    else:
        image.save(file, "WEBP", quality=_QUALITY, alpha_quality=100, method=4)
    data, position = file.getvalue(), 12
    while position < len(data):
        kind, size = data[position : position + 4], int.from_bytes(data[position + 4 : position + 8], "little")
        end = position + 8 + size + size % 2
        if kind in (b"ALPH", b"VP8 ", b"VP8L"):
            yield data[position:end]
        position = end
