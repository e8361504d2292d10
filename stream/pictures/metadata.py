"""Metadata of still pictures: EXIF (JEITA CP-3451) and ICC profiles, kept as they are but for what a repair changes."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

_ORIENTATION, _EXIF, _GPS, _PROFILE = 0x0112, 0x8769, 0x8825, 0x8773
_WIDTH, _HEIGHT = 0xA002, 0xA003
_SHORT, _LONG, _UNDEFINED = 3, 4, 7
_MAX_ENTRIES = 1000
_STRUCTURE = frozenset(
    {254, 255, *range(256, 260), 262, 266, *range(273, 274), *range(274, 285), 317, 320, 322, 323, 324, 325}
)
"""Tags of a TIFF that describe how its pixels are stored, orientation included."""
_PREFIX = b"Exif\0\0"
_READ_ERRORS = (OSError, ValueError, SyntaxError, TypeError, KeyError, struct.error, Image.DecompressionBombError)


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry of a directory: where its value, of at most four bytes, is."""

    tag: int
    kind: int
    at: int
    value: int


def _exif_tags(exif: bytes) -> dict[int, Any]:
    """The tags of an EXIF block that say nothing about how pixels are stored; none if it is damaged."""
    block = Image.Exif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damage
            block.load(exif)
            tags = {tag: block[tag] for tag in block if tag not in _STRUCTURE and tag not in (_EXIF, _GPS)}
            return tags | {tag: dict(inner) for tag in (_EXIF, _GPS) if (inner := block.get_ifd(tag))}
    except _READ_ERRORS:
        return {}


def upright(exif: bytes, size: tuple[int, int]) -> bytes:
    """EXIF of a picture whose orientation has been applied: 1, without a thumbnail, of `size` (width, height).

    Everything else stays as it is, in place: maker notes hold offsets. Damaged EXIF is returned unchanged.
    """
    data = bytearray(exif.removeprefix(_PREFIX))
    try:
        order = {b"II": "<", b"MM": ">"}[bytes(data[:2])]
        first = struct.unpack_from(order + "I", data, 4)[0]
        entries = list(_entries(data, first, order))
        for entry in entries:
            if entry.tag == _ORIENTATION:
                _set(data, entry, 1, order)
            elif entry.tag == _EXIF:
                for inner in _entries(data, entry.value, order):
                    if inner.tag in (_WIDTH, _HEIGHT):
                        _set(data, inner, size[inner.tag == _HEIGHT], order)
        struct.pack_into(order + "I", data, first + 2 + 12 * len(entries), 0)  # no second directory: the thumbnail
    except (KeyError, struct.error):
        return exif
    return bytes(data)


def _entries(data: bytearray, start: int, order: str) -> Iterator[_Entry]:
    count = struct.unpack_from(order + "H", data, start)[0]
    if count > _MAX_ENTRIES:
        raise struct.error("no directory")
    for number in range(count):
        at = start + 2 + 12 * number
        tag, kind = struct.unpack_from(order + "HH", data, at)
        value = struct.unpack_from(order + ("H" if kind == _SHORT else "I"), data, at + 8)[0]
        yield _Entry(tag, kind, at + 8, value)


def _set(data: bytearray, entry: _Entry, value: int, order: str) -> None:
    if entry.kind == _LONG or (entry.kind == _SHORT and value <= 0xFFFF):
        struct.pack_into(order + ("H" if entry.kind == _SHORT else "I"), data, entry.at, value)


def read_tiff(content: bytes) -> tuple[bytes | None, bytes | None]:
    """EXIF and ICC profile of a TIFF, whose own directory holds both; None for what it lacks."""
    try:
        with Image.open(io.BytesIO(content), formats=["TIFF"]) as image:
            profile = image.info.get("icc_profile")
            source = image.getexif()
            exif = Image.Exif()
            for tag in source:
                if tag not in _STRUCTURE and tag not in (_PROFILE, _EXIF, _GPS):
                    exif[tag] = source[tag]
            for tag in (_EXIF, _GPS):
                if inner := source.get_ifd(tag):
                    exif.get_ifd(tag).update(inner)
            return (exif.tobytes() if len(exif) else None), profile
    except _READ_ERRORS:
        return None, None


def write_tiff(content: bytes, exif: bytes | None, profile: bytes | None) -> bytes:
    """A TIFF with EXIF and an ICC profile added: its directory moves to the end, its pixels stay where they are."""
    added = ImageFileDirectory_v2(content[:8])
    if profile is not None:
        added.tagtype[_PROFILE] = _UNDEFINED
        added[_PROFILE] = profile
    for tag, value in _exif_tags(exif or b"").items():
        added[tag] = value
    if not len(added):
        return content
    order = "<" if content[:2] == b"II" else ">"
    padded = content + bytes(len(content) % 2)
    block = added.tobytes(len(padded))
    block += bytes(len(block) % 2)
    first = struct.unpack_from(order + "I", content, 4)[0]
    entries = {entry[:2]: entry for entry in [*_raw_entries(block, 0, order), *_raw_entries(content, first, order)]}
    ordered = sorted(entries.values(), key=lambda entry: struct.unpack_from(order + "H", entry)[0])
    directory = struct.pack(order + "H", len(ordered)) + b"".join(ordered) + bytes(4)
    start = struct.pack(order + "I", len(padded) + len(block))
    return padded[:4] + start + padded[8:] + block + directory


def _raw_entries(data: bytes, start: int, order: str) -> list[bytes]:
    """The entries of a directory, twelve bytes each."""
    count = struct.unpack_from(order + "H", data, start)[0]
    return [data[start + 2 + 12 * number : start + 14 + 12 * number] for number in range(count)]
