"""Reads a file segment by segment: packets, not pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from av.video.stream import VideoStream

from deepclarity.stream.files.demux import demux_packets, open_input
from deepclarity.stream.packets import AnyPacket

from .errors import CopyError
from .segment import Entry, Segment
from .syntax import Syntax, syntax_of

MIN_FRAMES = 12
"""Frames below which a segment goes on beyond the next entry: opening an encoder costs as much as several frames."""
MAX_BYTES = 128 << 20
"""Bytes of packets above which a segment is not held in memory."""


class SegmentReader:
    """Yields the segments of one video track: `for segment in SegmentReader(path, stream_index=0): …`.

    Memory holds one segment and one packet more, up to `MAX_BYTES`.
    """

    def __init__(
        self, path: Path, *, stream_index: int, demuxer: str | None = None, min_frames: int = MIN_FRAMES
    ) -> None:
        """Open `path`; `demuxer`: see `open_input`. CopyError if the codec is none whose segments are known."""
        self._container = open_input(path, demuxer=demuxer)
        self._min_frames = min_frames
        self._damaged = False
        self._obstacle: str | None = None
        try:
            stream = self._container.streams[stream_index]
            if not isinstance(stream, VideoStream) or stream.codec_context is None:
                raise CopyError("the track cannot be read")
            self.stream = stream
            self.codec = stream.codec_context.codec.canonical_name
            self.syntax: Syntax = syntax_of(self.codec, bytes(stream.codec_context.extradata or b""))
        except BaseException:
            self._container.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def __iter__(self) -> Iterator[Segment]:
        segment = _Growing(Entry.NONE)
        for packet in demux_packets(self._container, [self.stream], on_damage=self._on_damage):
            said = self.syntax.read(bytes(packet), key=packet.is_keyframe)
            if said.entry is not Entry.NONE and (not segment.pts or self._ends(segment, said.entry)):
                if segment.pts:
                    yield segment.freeze()
                segment = _Growing(said.entry)
            self._obstacle = self._obstacle or said.obstacle or _format_obstacle(packet)
            segment.add(packet, self._obstacle or self._packet_obstacle(packet))
        if segment.pts:
            yield segment.freeze()

    def _ends(self, segment: _Growing, upcoming: Entry) -> bool:
        if segment.entry is Entry.NONE:
            return True
        return len(segment.pts) >= self._min_frames

    def _packet_obstacle(self, packet: AnyPacket) -> str | None:
        """Why the segment of this packet must not be copied."""
        damaged, self._damaged = self._damaged or packet.is_corrupt, False
        if damaged:
            return "packets are damaged"
        if packet.is_discard:
            return "an edit list hides some of its frames"
        return "packets have no timestamp" if packet.pts is None else None

    def _on_damage(self) -> None:
        self._damaged = True


class _Growing:
    """A segment that is being read."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.pts: list[int] = []
        self._packets: list[AnyPacket] = []
        self._bytes = 0
        self._obstacle = None if entry is not Entry.NONE else "decoding cannot begin at its first frame"

    def add(self, packet: AnyPacket, obstacle: str | None) -> None:
        self._obstacle = self._obstacle or obstacle
        self._bytes += packet.size
        self.pts.append(packet.pts if packet.pts is not None else -1)
        if self._bytes > MAX_BYTES:
            self._obstacle = self._obstacle or f"more than {MAX_BYTES >> 20} MiB without a key frame"
        if self._obstacle is None:
            self._packets.append(packet)
        else:
            self._packets.clear()

    def freeze(self) -> Segment:
        if self._obstacle is None and len(set(self.pts)) < len(self.pts):
            self._obstacle = "timestamps occur twice"
        return Segment(self.entry, tuple(self._packets), tuple(self.pts), self._obstacle)


def _format_obstacle(packet: AnyPacket) -> str | None:
    """Why the segment of this packet and all that follow must not be copied."""
    return "the coding parameters change in the middle" if packet.has_sidedata("new_extradata") else None
