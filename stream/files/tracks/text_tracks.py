"""Text tracks: their codec, and their packets in another one."""

from __future__ import annotations

from pathlib import Path

from av.codec.context import CodecContext
from av.packet import Packet
from av.subtitles.stream import SubtitleStream

from deepclarity.stream.packets import AnyPacket

from .subtitles import TEXT_CODECS, codec_name, convert

_HEAD_BYTES = 2**20
"""Where Matroska names the codecs of its tracks."""


def text_codec(path: Path, container: str, stream: SubtitleStream) -> str | None:
    """The codec of a text track, one of `TEXT_CODECS`; None for pictures and codecs that are not known."""
    context: CodecContext | None = stream.codec_context
    if context is not None:
        name = codec_name(context.name)
        return name if name in TEXT_CODECS else None
    # FFmpeg does not know Matroska's newer name of WebVTT.
    with path.open("rb") as file:
        return "webvtt" if "matroska" in container and b"S_TEXT/WEBVTT" in file.read(_HEAD_BYTES) else None


def converted_packet(packet: AnyPacket, source: str, target: str) -> AnyPacket | None:
    """A packet of a text track of codec `source` for one of codec `target`; None if there is no text in it."""
    content = bytes(packet) if source == target else convert(bytes(packet), source, target)
    if not content:
        return None
    text: AnyPacket = Packet(content)
    text.pts, text.dts, text.duration, text.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    return text
