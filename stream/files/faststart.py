"""Faststart: remuxes a fragmented ISO file so that its index (moov) comes first; packets and timestamps unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from deepclarity.stream.info import VideoInfo
from deepclarity.stream.packets import AnyPacket

from .passthrough import Passthrough, copy_tags
from .tracks.support import is_chapter_track
from .tracks.timecode import add_timecode, is_timecode_track

_EMPTY_TEXT = b"\0\0"
"""A pause in MPEG-4 timed text; the muxer writes its own."""


def remux_faststart(
    partial: Path, target: Path, *, muxer: str, passthrough: Passthrough | None, info: VideoInfo
) -> None:
    """Remux the fragmented file `partial` into `target` with the index first.

    `passthrough`: source of metadata, chapters and cover pictures. `info`: source of the display matrix.
    """
    options = {"movflags": "+faststart", "use_editlist": "1", "avoid_negative_ts": "disabled"}
    with (
        av.open(str(partial.absolute())) as reader,
        av.open(str(target.absolute()), "w", format=muxer, container_options=options) as writer,
    ):
        copies = {}
        chapters = passthrough is not None and passthrough.has_chapters
        for stream in reader.streams:
            if is_chapter_track(stream, chapters=chapters) or is_timecode_track(stream):
                continue
            copy = writer.add_stream_from_template(stream, opaque=True)
            copy_tags(stream, copy)
            if isinstance(stream, VideoStream) and isinstance(copy, VideoStream):
                copy.codec_tag = stream.codec_tag
                if stream.index == 0:
                    if info.display_matrix is not None:
                        copy.set_display_matrix(info.display_matrix)
                    if passthrough is not None:
                        add_timecode(copy, passthrough.timecode, info.rate)
            copies[stream.index] = copy
        writer.metadata.update(reader.metadata)
        if passthrough is not None:
            passthrough.copy_metadata(writer)
            writer.mux(passthrough.add_covers(writer))
        for packet in _packets(reader, [stream for stream in reader.streams if stream.index in copies]):
            packet.stream = copies[packet.stream.index]
            writer.mux_one(packet)


def _packets(reader: InputContainer, streams: list[Stream]) -> Iterator[AnyPacket]:
    """The packets of a fragmented file, with the times of its sound put right.

    Where a packet of sound begins a fragment, FFmpeg gives the packet before twice its duration, and it the time of the
    one after.
    """
    held: dict[int, AnyPacket] = {}
    last: dict[int, int] = {}
    for packet in reader.demux(streams):
        if not packet.size or (packet.stream.type == "subtitle" and bytes(packet) == _EMPTY_TEXT):
            continue
        if packet.stream.type != "audio":
            yield packet
            continue
        index = packet.stream.index
        before = held.pop(index, None)
        if before is not None:
            if before.dts == packet.dts and before.dts is not None and index in last:
                before.dts -= (before.dts - last[index]) // 2
                before.pts = before.dts
            if before.dts is not None:
                last[index] = before.dts
            yield before
        held[index] = packet
    yield from held.values()
