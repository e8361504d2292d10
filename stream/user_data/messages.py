"""Registered user data of a picture (Rec. ITU-T T.35): closed captions, dynamic HDR metadata, and more, as messages.

Every codec carries the same bytes: H.264 and HEVC in an SEI message, AV1 in a metadata OBU. A message begins with the
code of a country, and what it is follows from its first bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

Messages = tuple[bytes, ...]
"""The messages of one picture."""


class UserDataKind(StrEnum):
    """What a message holds."""

    CAPTIONS = "closed captions"
    """CEA-608 and CEA-708 (ATSC A/53 Part 4, 6.2.3)."""
    ACTIVE_FORMAT = "the active format description"
    """Which part of the picture is of interest (ATSC A/53 Part 4, 6.2.4; SMPTE ST 2016-1)."""
    HDR10_PLUS = "HDR10+ metadata"
    """SMPTE ST 2094-40."""
    HDR_VIVID = "HDR Vivid metadata"
    """T/UWA 005.1."""
    DOLBY_VISION = "Dolby Vision metadata"
    """Made for the size and the samples of its picture, and useless without an entry in the container: not carried."""


_PREFIXES = {
    UserDataKind.CAPTIONS: b"\xb5\x00\x31GA94\x03",
    UserDataKind.ACTIVE_FORMAT: b"\xb5\x00\x31DTG1",
    UserDataKind.HDR10_PLUS: b"\xb5\x00\x3c\x00\x01\x04",
    UserDataKind.HDR_VIVID: b"\x26\x00\x04\x00\x05",
    UserDataKind.DOLBY_VISION: b"\xb5\x00\x3b\x00\x00\x08\x00",
}
"""Country, provider, and the provider's own numbers."""

FROM_DECODER = frozenset({UserDataKind.CAPTIONS, UserDataKind.ACTIVE_FORMAT})
"""What decoders give; the rest is read from packets."""
_DYNAMIC_HDR = frozenset({UserDataKind.HDR10_PLUS, UserDataKind.HDR_VIVID})
CARRIED = {
    "h264": FROM_DECODER,
    "hevc": FROM_DECODER | _DYNAMIC_HDR,
    "av1": frozenset({UserDataKind.CAPTIONS}) | _DYNAMIC_HDR,
}
"""What players look for in each codec that is written here."""

TRIPLET_BYTES = 3
"""Of one caption construct (`cc_data`): its type and two bytes."""
MAX_TRIPLETS = 31
"""In one message."""
_PROCESS_CC_DATA = 0xC0
"""A reserved bit, and the flag that captions are to be processed."""
_HAS_FORMAT = 0x41
"""The flag that an active format follows, and reserved bits."""


def kind_of(message: bytes) -> UserDataKind | None:
    """What a message holds; None if it is nothing that is carried here."""
    return next((kind for kind, prefix in _PREFIXES.items() if message.startswith(prefix)), None)


def prefix_of(kind: UserDataKind) -> bytes:
    """The first bytes of messages of this kind."""
    return _PREFIXES[kind]


def caption_messages(triplets: bytes) -> Messages:
    """Messages that hold caption constructs, three bytes each, in this order (CTA-708, 4.3)."""
    step = TRIPLET_BYTES * MAX_TRIPLETS
    usable = len(triplets) - len(triplets) % TRIPLET_BYTES
    return tuple(_caption_message(triplets[begin : min(begin + step, usable)]) for begin in range(0, usable, step))


def _caption_message(triplets: bytes) -> bytes:
    count = len(triplets) // TRIPLET_BYTES
    return _PREFIXES[UserDataKind.CAPTIONS] + bytes([_PROCESS_CC_DATA | count, 0xFF]) + triplets + b"\xff"


def active_format_message(code: int) -> bytes:
    """A message with an active format, 0 to 15."""
    return _PREFIXES[UserDataKind.ACTIVE_FORMAT] + bytes([_HAS_FORMAT, 0xF0 | code & 15])


def dolby_vision_message(unit: bytes) -> bytes:
    """A message for a reference processing unit that HEVC holds in a NAL unit of its own."""
    return _PREFIXES[UserDataKind.DOLBY_VISION] + unit


def caption_triplets(messages: Iterable[bytes]) -> bytes:
    """The caption constructs of all messages that hold some; the inverse of `caption_messages`."""
    begin = len(_PREFIXES[UserDataKind.CAPTIONS])
    found = b""
    for message in messages:
        if kind_of(message) is UserDataKind.CAPTIONS and len(message) > begin + 2:
            count = message[begin] & MAX_TRIPLETS
            found += message[begin + 2 : begin + 2 + TRIPLET_BYTES * count]
    return found


def of_kinds(messages: Messages, kinds: frozenset[UserDataKind]) -> Messages:
    """The messages of these kinds."""
    return tuple(message for message in messages if kind_of(message) in kinds)


def without_active_format(messages: Messages) -> Messages:
    """The messages for a picture with other edges than the one they came with."""
    return tuple(message for message in messages if kind_of(message) is not UserDataKind.ACTIVE_FORMAT)
