"""Reads the dynamic HDR metadata of pictures from the packets that hold them.

FFmpeg parses it into structures, from which the bytes cannot be had back exactly. Captions and active formats are taken
from the decoder, which also knows them in MPEG-2, and puts those of two fields together.
"""

from __future__ import annotations

from collections.abc import Callable

from . import obu, sei
from .messages import FROM_DECODER, Messages, UserDataKind, of_kinds

PacketReader = Callable[[bytes], Messages]
"""Returns the dynamic HDR metadata of a packet."""

_KINDS = frozenset(UserDataKind) - FROM_DECODER
_RECORD_BYTES = 23
"""Of an HEVC configuration record without parameter sets (ISO/IEC 14496-15, 8.3.3.1)."""


def packet_reader(codec: str, extradata: bytes) -> PacketReader | None:
    """A reader for the packets of a track; None for a codec that has no such metadata, or none that is read here.

    `codec`: FFmpeg's name; `extradata`: the configuration of the track.
    """
    if codec == "hevc":
        is_record = extradata[:1] == b"\x01" and len(extradata) >= _RECORD_BYTES
        length_bytes = (extradata[21] & 3) + 1 if is_record else 0
        return lambda packet: of_kinds(sei.messages_of_packet(packet, "hevc", length_bytes), _KINDS)
    if codec == "av1":
        return lambda packet: of_kinds(obu.messages_of_packet(packet), _KINDS)
    return None
