"""Metadata of AV1: user data registered by Rec. ITU-T T.35 in open bitstream units (AV1 specification, 5.3, 5.8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .messages import Messages

_FRAME_HEADER, _METADATA, _FRAME = 3, 5, 6
"""Types of units."""
_ITU_T_T35 = 4
"""Type of metadata."""
_MAX_LEB128_BYTES = 8


@dataclass(frozen=True, slots=True)
class _Unit:
    kind: int
    begin: int
    """Where its header begins."""
    payload: bytes


def messages_of_packet(packet: bytes) -> Messages:
    """The T.35 messages of a temporal unit."""
    return tuple(message for unit in _units(packet) if (message := _message_of(unit)) is not None)


def insert_messages(packet: bytes, messages: Messages) -> bytes | None:
    """A temporal unit with the messages before the frame that it shows, its last; None if there is no frame in it."""
    frames = [unit.begin for unit in _units(packet) if unit.kind in (_FRAME_HEADER, _FRAME)]
    if not frames:
        return None
    return packet[: frames[-1]] + b"".join(map(_metadata_unit, messages)) + packet[frames[-1] :]


def _units(packet: bytes) -> Iterator[_Unit]:
    """The units up to the first damage."""
    position = 0
    while position < len(packet):
        header, begin = packet[position], position
        position += 2 if header & 4 else 1
        size = len(packet) - position
        if header & 2:
            size, position = _leb128(packet, position)
        if position + size > len(packet):
            return
        yield _Unit(header >> 3 & 15, begin, packet[position : position + size])
        position += size


def _message_of(unit: _Unit) -> bytes | None:
    if unit.kind != _METADATA:
        return None
    kind, position = _leb128(unit.payload, 0)
    if kind != _ITU_T_T35:
        return None
    return unit.payload[position:].rstrip(b"\x00").removesuffix(b"\x80")  # without the trailing bits


def _metadata_unit(message: bytes) -> bytes:
    payload = bytes([_ITU_T_T35]) + message + b"\x80"
    return bytes([_METADATA << 3 | 2]) + _to_leb128(len(payload)) + payload


def _leb128(data: bytes, position: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and the position behind it."""
    value = 0
    for number, byte in enumerate(data[position : position + _MAX_LEB128_BYTES]):
        value |= (byte & 0x7F) << 7 * number
        if byte < 0x80:
            return value, position + number + 1
    return value, position + _MAX_LEB128_BYTES


def _to_leb128(value: int) -> bytes:
    digits = bytearray()
    while True:
        value, digit = value >> 7, value & 0x7F
        digits.append(digit | (0x80 if value else 0))
        if not value:
            return bytes(digits)
