"""Faststart: remuxes a fragmented ISO file so that its index (moov) comes first; packets and timestamps unchanged."""

from __future__ import annotations

from pathlib import Path

import av
from av.video.stream import VideoStream

from deepclarity.stream.info import VideoInfo

from .passthrough import Passthrough, copy_tags, is_chapter_track

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
            if is_chapter_track(stream, chapters=chapters):
                continue
            copy = writer.add_stream_from_template(stream, opaque=True)
            copy_tags(stream, copy)
            if isinstance(stream, VideoStream) and isinstance(copy, VideoStream):
                copy.codec_tag = stream.codec_tag
                if info.display_matrix is not None and stream.index == 0:
                    copy.set_display_matrix(info.display_matrix)
            copies[stream.index] = copy
        writer.metadata.update(reader.metadata)
        if passthrough is not None:
            passthrough.copy_metadata(writer)
            writer.mux(passthrough.add_covers(writer))
        for packet in reader.demux([stream for stream in reader.streams if stream.index in copies]):
            empty = packet.stream.type == "subtitle" and bytes(packet) == _EMPTY_TEXT
            if packet.size and not empty:
                packet.stream = copies[packet.stream.index]
                writer.mux_one(packet)
