"""What is read from packets themselves, as no decoder hands it on: dynamic HDR metadata, quantisers of HEVC and AV1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deepclarity.stream.coding import Coding
from deepclarity.stream.quantisers.packets import quantiser_reader
from deepclarity.stream.user_data.messages import Messages
from deepclarity.stream.user_data.reader import packet_reader


@dataclass(frozen=True, slots=True)
class PacketContent:
    """What a packet says of its picture."""

    user_data: Messages = ()
    coding: Coding | None = None


NOTHING = PacketContent()

ContentReader = Callable[[bytes], PacketContent]
"""Reads packets of one track, in the order in which they come."""


def content_reader(codec: str, extradata: bytes) -> ContentReader | None:
    """A reader for a track from its beginning; None if nothing is read from packets of this codec.

    `codec`: FFmpeg's name of the codec; `extradata`: the configuration of the track.
    """
    user_data, quantiser = packet_reader(codec, extradata), quantiser_reader(codec, extradata)
    if user_data is None and quantiser is None:
        return None
    return lambda packet: PacketContent(
        user_data(packet) if user_data is not None else (), quantiser(packet) if quantiser is not None else None
    )
