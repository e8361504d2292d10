"""GIF encoder: a palette of its own for every frame, exact where the frame has few colours, dithered elsewhere."""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np
from av.filter import Graph
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from PIL import Image

from .animation_encoder import Delays, Region, Rgba, changed_pixels, changed_region, shown_region
from .sniff import compressed_image

Paletted = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Indices, (height, width), and the palette, (colours, 4): R, G, B, opacity."""

_COLOURS = 256
_SAMPLED = 8
"""A pixel in so many, each way, is looked at first: counting the colours of a large photo takes long."""
_OPAQUE = 128
"""Alpha from which a pixel is shown: GIF knows no other transparency than all or nothing."""
_GENERATE = {"stats_mode": "single", "reserve_transparent": "1"}
_USE = {"new": "1", "dither": "sierra2_4a", "alpha_threshold": str(_OPAQUE)}
_MAX_DELAY = 0xFFFF
_MAX_LOOPS = 0xFFFF
_GREYS = bytes(level for level in range(_COLOURS) for _ in range(3))
_KEEP, _CLEAR = 1, 2
"""Disposal methods: leave the frame, or restore its area to nothing."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """A frame that is written when the next one is known."""

    picture: Rgba
    changes: Rgba
    """The picture, transparent where the frame before it shows the same."""
    region: Region
    delay: int
    """In hundredths of a second."""


class GifEncoder:
    """Writes a GIF (GIF89a): only what changes, with exact delays and number of loops."""

    def __init__(self, path: Path, *, size: tuple[int, int], loops: int | None, profile: bytes | None = None) -> None:
        """`size`: (width, height) in pixels. `loops`: repetitions; 0 for ever, None if it is shown once.

        `profile`: an ICC colour profile, which GIF cannot hold.
        """
        self._delays = Delays(Fraction(1, 100), maximum=_MAX_DELAY)
        self._waiting: _Frame | None = None
        self._file = path.open("wb")
        width, height = size
        self._file.write(b"GIF89a" + width.to_bytes(2, "little") + height.to_bytes(2, "little") + b"\x70\0\0")
        if loops is not None:
            count = min(loops, _MAX_LOOPS).to_bytes(2, "little")
            self._file.write(b"!\xff\x0bNETSCAPE2.0\x03\x01" + count + b"\0")

    def __enter__(self) -> GifEncoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, picture: Rgba, delay_s: Fraction, *, exact: bool) -> None:
        """Append a frame, shown for `delay_s`; what is at least half transparent becomes transparent."""
        picture = _normalized(picture)
        changes, region = picture, shown_region(picture)
        if (last := self._waiting) is not None:
            uncovers = bool((last.picture[:, :, 3] > picture[:, :, 3]).any())
            self._write(last, clear=uncovers)
            if not uncovers:
                changed = changed_pixels(last.picture, picture)
                changes, region = (
                    np.where(changed[:, :, None], picture, np.uint8(0)),
                    changed_region(last.picture, picture),
                )
        self._waiting = _Frame(picture, changes, region, self._delays.next(delay_s))

    def finish(self) -> None:
        """Write the last frame and the end of the file."""
        if self._waiting is not None:
            self._write(self._waiting, clear=False)
        self._file.write(b";")

    def _write(self, frame: _Frame, *, clear: bool) -> None:
        """`clear`: the next frame is transparent where this one is not, so that all of it must go."""
        region = Region.of(frame.picture) if clear else frame.region
        picture = region.cut(frame.picture)
        if clear:  # a frame without a transparent colour is cleared to a background colour by some readers
            indices, palette = exact_palette(picture, transparent=True) or dithered(picture)
        else:
            changes = region.cut(frame.changes)
            indices, palette = exact_palette(changes) or exact_palette(picture) or dithered(changes)
        colours = palette[:, :3].astype(np.uint8)
        transparent = np.flatnonzero(palette[:, 3] == 0)
        flags = (_CLEAR if clear else _KEEP) << 2 | bool(len(transparent))
        index = int(transparent[0]) if len(transparent) else 0
        self._file.write(bytes([0x21, 0xF9, 4, flags]) + frame.delay.to_bytes(2, "little") + bytes([index, 0]))
        bits = max(1, (len(colours) - 1).bit_length())
        place = (region.left, region.top, region.width, region.height)
        descriptor = b"," + b"".join(value.to_bytes(2, "little") for value in place) + bytes([0x80 | (bits - 1)])
        table = colours.tobytes().ljust(3 << bits, b"\0")
        self._file.write(descriptor + table + compressed(indices))


def exact_palette(picture: Rgba, *, transparent: bool = False) -> Paletted | None:
    """The picture with a palette of exactly its colours; None if there are more than 256.

    `transparent`: whether the palette must hold a transparent colour, used or not.
    """
    packed = np.ascontiguousarray(picture).view(np.uint32)[:, :, 0]
    if len(np.unique(packed[::_SAMPLED, ::_SAMPLED])) > _COLOURS:
        return None
    colours, indices = np.unique(packed, return_inverse=True)
    if transparent and 0 not in colours:
        colours = np.append(colours, np.uint32(0))
    if len(colours) > _COLOURS:
        return None
    return indices.reshape(packed.shape).astype(np.uint8), colours[:, None].view(np.uint8)


def dithered(picture: Rgba) -> Paletted:
    """The picture with the palette of 256 colours, one of them transparent, that FFmpeg finds for it."""
    frame = _dithered(picture)
    height, width = picture.shape[:2]
    rows = np.frombuffer(memoryview(frame.planes[0]), np.uint8).reshape(height, frame.planes[0].line_size)
    palette = np.frombuffer(memoryview(frame.planes[1]), np.uint8).reshape(-1, 4)[:_COLOURS]
    return rows[:, :width], palette[:, [2, 1, 0, 3]]


def _normalized(picture: Rgba) -> Rgba:
    """The picture with pixels that are shown, or are not and have no colour."""
    shown = picture[:, :, 3] >= _OPAQUE
    result = np.where(shown[:, :, None], picture, np.uint8(0)).astype(np.uint8)
    result[:, :, 3] = shown * np.uint8(255)
    return result


def _dithered(picture: Rgba) -> VideoFrame:
    height, width = picture.shape[:2]
    graph = Graph()
    source = graph.add_buffer(
        width=width, height=height, format=VideoFormat("rgba", width, height), time_base=Fraction(1, 100)
    )
    split, generate, use = graph.add("split"), graph.add("palettegen", **_GENERATE), graph.add("paletteuse", **_USE)
    sink = graph.add("buffersink")
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(generate, 1, 0)
    generate.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgba")
    frame.pts, frame.time_base = 0, Fraction(1, 100)
    source.push(frame)
    source.push(None)
    result = sink.pull()
    assert isinstance(result, VideoFrame)
    return result


def compressed(indices: NDArray[np.uint8]) -> bytes:
    """Palette indices as the compressed image data of a GIF (GIF89a, 22), by Pillow."""
    image = Image.frombytes("P", indices.shape[::-1], np.ascontiguousarray(indices).tobytes())
    image.putpalette(_GREYS)
    file = io.BytesIO()
    image.save(file, "GIF", interlace=0, optimize=False)
    return compressed_image(file.getvalue())
