"""Distinguishes animated from still pictures by their content, without decoding them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deepclarity.errors import UsageError

ANIMATION_SUFFIXES = frozenset({".gif", ".webp", ".apng", ".png"})
"""File extensions that an animated picture may have, lower case."""

_HEAD_BYTES = 1 << 16
_EXTENSION, _IMAGE, _TRAILER, _GRAPHIC_CONTROL = 0x21, 0x2C, 0x3B, 0xF9
_TOLERATED_BYTES = 8
_PNG, _GIF = b"\x89PNG\r\n\x1a\n", b"GIF8"


@dataclass(frozen=True, slots=True)
class GifStructure:
    """What a GIF says about its frames."""

    delays: list[int]
    """The delay of each frame, in hundredths of a second."""
    loops: int | None
    """Repetitions; 0 for ever, None if it is shown once."""
    complete: bool
    """Whether the file ends where it should."""


def is_animation(path: Path) -> bool:
    """Whether a file is a GIF, an animated WebP or an animated PNG."""
    if path.suffix.lower() not in ANIMATION_SUFFIXES:
        return False
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    return head.startswith(_GIF) or _has_frames(head)


def check_still(path: Path) -> None:
    """Raise UsageError if a file is an animated picture of several frames."""
    if not is_animation(path):
        return
    content = path.read_bytes()
    if _has_frames(content[:_HEAD_BYTES]) or (content.startswith(_GIF) and len(gif_structure(content).delays) > 1):
        raise UsageError(f"{path}: an animated picture. Use 'deepclarity upscale {path.name}'.")


def _has_frames(head: bytes) -> bool:
    """Whether a WebP or PNG says that it is animated."""
    if head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X":
        return bool(head[20] & 0x02)
    return head.startswith(_PNG) and b"acTL" in head.partition(b"IDAT")[0]


def gif_structure(data: bytes) -> GifStructure:
    """The structure of a GIF (GIF89a, 12), as far as it is intact."""
    delays: list[int] = []
    loops, delay, position = None, 0, 0
    try:
        position = 13 + _table_bytes(data[10])
        while position < len(data) and data[position] != _TRAILER:
            if data[position] == _EXTENSION:
                if data[position + 1] == _GRAPHIC_CONTROL:
                    delay = int.from_bytes(data[position + 4 : position + 6], "little")
                elif data[position + 3 : position + 14] == b"NETSCAPE2.0":
                    loops = int.from_bytes(data[position + 16 : position + 18], "little")
                position = _after_blocks(data, position + 2)
            elif data[position] == _IMAGE:
                delays.append(delay)
                delay = 0
                position = _after_blocks(data, position + 11 + _table_bytes(data[position + 9]))
            else:  # many files lack the trailer, or have a few bytes too many
                return GifStructure(delays, loops, complete=len(data) - position <= _TOLERATED_BYTES)
    except IndexError:
        return GifStructure(delays, loops, complete=False)
    return GifStructure(delays, loops, complete=True)


def compressed_image(data: bytes) -> bytes:
    """The compressed pixels of the first image of a GIF (GIF89a, 22)."""
    position = 13 + _table_bytes(data[10])
    while data[position] == _EXTENSION:
        position = _after_blocks(data, position + 2)
    position += 10 + _table_bytes(data[position + 9])
    return data[position : _after_blocks(data, position + 1)]


def _table_bytes(flags: int) -> int:
    """The size of a colour table."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(data: bytes, position: int) -> int:
    """The position after a chain of data sub-blocks of a GIF (GIF89a, 15)."""
    while data[position]:
        position += 1 + data[position]
    return position + 1
