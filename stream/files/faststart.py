"""Faststart: remuxes a fragmented ISO file with its index in front, packets and timestamps unchanged."""

from __future__ import annotations

from pathlib import Path

import av
from av.video.stream import VideoStream

from deepclarity.stream.info import VideoInfo

from .passthrough import Passthrough, copy_tags, is_chapter_track


def fast_start(partial: Path, intact: Path, *, muxer: str, tags: Passthrough | None, info: VideoInfo) -> None:
    """Copy the fragments into one file with its index in front. Times and packets stay as they are."""
    options = {"movflags": "+faststart", "use_editlist": "1", "avoid_negative_ts": "disabled"}
    with (
        av.open(str(partial.absolute())) as read,
        av.open(str(intact.absolute()), "w", format=muxer, container_options=options) as write,
    ):
        copies = {}
        chapters = tags is not None and tags.has_chapters
        for stream in read.streams:
            if is_chapter_track(stream, chapters=chapters):
                continue
            copy = write.add_stream_from_template(stream, opaque=True)
            copy_tags(stream, copy)
            if isinstance(stream, VideoStream) and isinstance(copy, VideoStream):
                copy.codec_tag = stream.codec_tag
                if info.display_matrix is not None and stream.index == 0:
                    copy.set_display_matrix(info.display_matrix)
            copies[stream.index] = copy
        write.metadata.update(read.metadata)
        if tags is not None:
            tags.describe(write)
            write.mux(tags.add_covers(write))
        for packet in read.demux([stream for stream in read.streams if stream.index in copies]):
            if packet.size:
                packet.stream = copies[packet.stream.index]
                write.mux_one(packet)
