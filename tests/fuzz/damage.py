"""Damages bytes in the ways in which storage, transfer and other programs do, repeatably by seed."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

_TAG = re.compile(rb"[A-Za-z0-9 ]{4}|\x00\x00\x01[\xb0-\xff]|[\x1a\x14\x15\x16\x1f][\x40-\xff]{2,3}")
"""What lengths stand beside: tags of boxes and chunks, start codes, EBML identifiers."""
_VALUES = (0, 1, 7, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_HEAD = 4096


def damage(data: bytes, seed: int) -> tuple[bytes, list[str]]:
    """`data` with one to three damages, and their kinds; the same for the same seed."""
    random = Random(seed)
    kinds = [random.choice(list(DAMAGES)) for _ in range(random.choice((1, 1, 1, 2, 3)))]
    for kind in kinds:
        data = DAMAGES[kind](data, random)
    return data, kinds


def _flips(data: bytes, random: Random) -> bytes:
    """Single bits, few or many, anywhere or only in the headers."""
    changed = bytearray(data)
    end = min(len(data), _HEAD) if random.random() < 0.3 else len(data)
    for _ in range(random.choice((1, 4, 16, 64))):
        changed[random.randrange(end)] ^= 1 << random.randrange(8)
    return bytes(changed)


def _cut(data: bytes, random: Random) -> bytes:
    """The end is missing, or the beginning."""
    at = random.randrange(1, max(2, len(data)))
    return data[at:] if random.random() < 0.2 else data[:at]


def _swap(data: bytes, random: Random) -> bytes:
    """Two chunks in each other's place."""
    (start, middle), (after, end) = _chunk(data, random), _chunk(data, random)
    if start > after:
        (start, middle), (after, end) = (after, end), (start, middle)
    after = max(after, middle)
    end = max(end, after)
    return data[:start] + data[after:end] + data[middle:after] + data[start:middle] + data[end:]


def _repeat(data: bytes, random: Random) -> bytes:
    """A chunk that comes twice, or its last bytes without end."""
    start, end = _chunk(data, random)
    return data[:end] + data[start:end] * random.choice((1, 1, 20)) + data[end:]


def _lose(data: bytes, random: Random) -> bytes:
    start, end = _chunk(data, random)
    return data[:start] + data[end:] or data[:1]


def _zero(data: bytes, random: Random) -> bytes:
    """A chunk that was never written."""
    start, end = _chunk(data, random)
    return data[:start] + bytes(end - start) + data[end:]


def _lengths(data: bytes, random: Random) -> bytes:
    """A length beside a tag is wrong, so that parts reach beyond what holds them."""
    tags = [found.start() for found in _TAG.finditer(data)] or [0]
    changed, width = bytearray(data), random.choice((1, 2, 4))
    for _ in range(random.choice((1, 2, 4))):
        tag = random.choice(tags[:64] if random.random() < 0.7 else tags)
        at = max(0, min(len(data) - width, tag + random.choice((-4, -2, 4, 2, 1))))
        value = random.choice(_VALUES) & ((1 << 8 * width) - 1)
        changed[at : at + width] = value.to_bytes(width, random.choice(("big", "little")))
    return bytes(changed)


def _chunk(data: bytes, random: Random) -> tuple[int, int]:
    """A stretch of bytes, in the sizes of packets and of disk blocks."""
    size = min(len(data), random.choice((16, 188, 512, 1316, 4096, 20_000)))
    start = random.randrange(len(data) - size + 1)
    return start, start + size


DAMAGES: dict[str, Callable[[bytes, Random], bytes]] = {
    "flips": _flips,
    "cut": _cut,
    "swap": _swap,
    "repeat": _repeat,
    "lose": _lose,
    "zero": _zero,
    "lengths": _lengths,
}


_VALUE = re.compile(rb'(?<=[=:,\[])\s*("[^"\n]*"|[^\s,\]}"]+)')
_ODD_VALUES = (
    b"-1", b"0", b"1e400", b"nan", b"inf", b"18446744073709551616", b"1" * 400, b"1" * 5000, b"true", b"null",
    b"{}", b"[]", b"[" * 3000, b'""', b'"\\u0000"', b'"' + b"x" * 5000 + b'"', b'"../../etc/passwd"',
    b'"rtsp://u:p@h/"', b"'", b"\\",
)  # fmt: skip


def damage_text(data: bytes, seed: int) -> tuple[bytes, list[str]]:
    """Like `damage`, for TOML, JSON and forms: in most seeds a few values become odd ones instead."""
    random = Random(seed)
    if random.random() < 0.3:
        return damage(data, seed)
    for _ in range(random.choice((1, 1, 2, 4))):
        places = list(_VALUE.finditer(data))
        if not places:
            return damage(data, seed)
        place = random.choice(places)
        data = data[: place.start()] + b" " + random.choice(_ODD_VALUES) + data[place.end() :]
    return data, ["values"]
