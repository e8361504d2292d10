"""Supplemental enhancement information of H.264 and HEVC: user data registered by Rec. ITU-T T.35.

The syntax of the payload is that of ITU-T H.264, D.1.6 and H.265, D.2.6; that of the NAL unit H.264, 7.3.2.3 and
H.265, 7.3.5.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from deepclarity.stream.segments.bits import split_lengths, split_start_codes
from deepclarity.stream.segments.errors import CopyError

from .messages import Messages, dolby_vision_message

_REGISTERED_USER_DATA = 4
_HEVC_PREFIX_SEI = 39
_SEI = {"h264": (6,), "hevc": (_HEVC_PREFIX_SEI, 40)}
_DOLBY_VISION = 62
_PICTURE = {"h264": range(1, 6), "hevc": range(32)}
"""Types of NAL units that hold a part of a picture."""
_START_CODE = b"\x00\x00\x01"
_UNSAFE = re.compile(rb"\x00\x00(?=[\x00-\x03])")


def messages_in(units: Iterable[bytes], codec: str) -> Iterator[bytes]:
    """Yield the T.35 messages of NAL units, headers included, and what HEVC has instead; `codec`: `h264` or `hevc`."""
    header = 2 if codec == "hevc" else 1
    for unit in units:
        kind = _type_of(unit[0], codec)
        if len(unit) > header and kind in _SEI[codec]:
            yield from _messages_of(unit[header:].replace(b"\x00\x00\x03", b"\x00\x00"))
        elif codec == "hevc" and kind == _DOLBY_VISION:
            yield dolby_vision_message(unit[header:])


def messages_of_packet(packet: bytes, codec: str, length_bytes: int) -> Messages:
    """The T.35 messages of a packet; `length_bytes`: of the length before each NAL unit, 0 for start codes."""
    units = split_lengths(packet, length_bytes) if length_bytes else split_start_codes(packet)
    found = []
    try:
        for message in messages_in(units, codec):
            found.append(message)  # noqa: PERF402 what precedes damage counts
    except CopyError:
        pass
    return tuple(found)


def insert_messages(packet: bytes, codec: str, messages: Messages) -> bytes | None:
    """A packet with start codes and the messages before its picture; None if there is no picture in it."""
    position = picture_start(packet, codec)
    if position is None:
        return None
    begin = position - 1 if packet[position - 1 : position] == b"\x00" else position
    header = b"\x06"
    if codec == "hevc":  # the temporal and the layer's identifier are the picture's
        first, second = packet[position + 3], packet[position + 4]
        header = bytes([_HEVC_PREFIX_SEI << 1 | first & 1, second])
    return packet[:begin] + b"".join(_unit(header, message) for message in messages) + packet[begin:]


def picture_start(packet: bytes, codec: str) -> int | None:
    """Where the start code of the first NAL unit with a part of a picture lies."""
    position = packet.find(_START_CODE)
    while 0 <= position < len(packet) - 4:
        if _type_of(packet[position + 3], codec) in _PICTURE[codec]:
            return position
        position = packet.find(_START_CODE, position + 3)
    return None


def _type_of(first: int, codec: str) -> int:
    """The type of a NAL unit by its first byte."""
    return first >> 1 & 63 if codec == "hevc" else first & 31


def _unit(header: bytes, message: bytes) -> bytes:
    """An SEI unit with one message, start code and emulation prevention included."""
    size = b"\xff" * (len(message) // 255) + bytes([len(message) % 255])
    payload = header + bytes([_REGISTERED_USER_DATA]) + size + message + b"\x80"
    return b"\x00" + _START_CODE + _UNSAFE.sub(b"\x00\x00\x03", payload)


def _messages_of(payload: bytes) -> Iterator[bytes]:
    position = 0
    while position + 2 < len(payload):  # the trailing bits are one byte
        kind, position = _number(payload, position)
        size, position = _number(payload, position)
        if kind == _REGISTERED_USER_DATA and position + size <= len(payload):
            yield payload[position : position + size]
        position += size


def _number(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    while position < len(data) and data[position] == 0xFF:
        value, position = value + 255, position + 1
    return value + (data[position] if position < len(data) else 0), position + 1
