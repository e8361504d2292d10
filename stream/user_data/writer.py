"""Puts the user data of frames into the packets that an encoder makes of them."""

from __future__ import annotations

from av.packet import Packet

from deepclarity.stream.packets import AnyPacket

from . import obu, sei
from .messages import CARRIED, Messages, kind_of, of_kinds

_MAX_WAITING = 1024
"""Frames that no encoder holds back at once."""


class UserDataWriter:
    """Call `add` for each frame before it is encoded, and `written` for each packet, in any order of display."""

    def __init__(self, codec: str) -> None:
        """`codec`: `h264`, with start codes, `hevc`, likewise, or `av1`; nothing is carried in others."""
        self._codec = codec
        self._waiting: dict[int, Messages] = {}

    def add(self, pts: int, messages: Messages) -> None:
        """Keep the messages of the frame with this presentation time; those that the codec cannot carry are dropped."""
        carried = of_kinds(messages, CARRIED.get(self._codec, frozenset()))
        if carried:
            if len(self._waiting) >= _MAX_WAITING:
                del self._waiting[next(iter(self._waiting))]
            self._waiting[pts] = carried

    def written(self, packet: AnyPacket) -> AnyPacket:
        """The packet with the messages of its frame that the encoder has not put there itself."""
        messages = None if packet.pts is None else self._waiting.pop(packet.pts, None)
        data = self._inserted(bytes(packet), messages) if messages else None
        if data is None:
            return packet
        copy: AnyPacket = Packet(data)
        copy.pts, copy.dts, copy.duration, copy.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
        copy.is_keyframe = packet.is_keyframe
        return copy

    def _inserted(self, packet: bytes, messages: Messages) -> bytes | None:
        if self._codec == "av1":
            return obu.insert_messages(packet, _lacking(messages, obu.messages_of_packet(packet)))
        before_picture = packet[: sei.picture_start(packet, self._codec)]
        present = sei.messages_of_packet(before_picture, self._codec, 0)
        return sei.insert_messages(packet, self._codec, _lacking(messages, present))


def _lacking(messages: Messages, present: Messages) -> Messages:
    """The messages of kinds that are not present."""
    kinds = {kind_of(message) for message in present}
    return tuple(message for message in messages if kind_of(message) not in kinds)
