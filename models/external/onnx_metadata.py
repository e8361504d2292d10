"""The metadata of an ONNX file, read without the onnx package: two levels of protobuf."""

from __future__ import annotations

from collections.abc import Iterator

_METADATA_PROPS = 14
"""Number of the field `metadata_props` in ONNX's ModelProto; its entries have a key (1) and a value (2)."""


def onnx_metadata(content: bytes) -> dict[str, str]:
    """Keys and values of `metadata_props`; what cannot be parsed is left out."""
    found: dict[str, str] = {}
    view = memoryview(content)
    for number, entry in _fields(view):
        if number == _METADATA_PROPS:
            parts = {key: bytes(value).decode("utf-8", "replace") for key, value in _fields(entry)}
            found[parts.get(1, "").lower()] = " ".join(parts.get(2, "").split())[:60]
    return found


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """(number, content) of each length-delimited field; ends at the first that is malformed."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 0:
            _, at = _varint(message, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        elif kind == 2:
            length, at = _varint(message, at)
            yield tag >> 3, message[at : at + length]
            at += length
        else:
            return


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A variable-length integer, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
    return value, at
