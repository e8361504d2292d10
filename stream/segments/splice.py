"""Splices a track from the source's own packets and newly encoded ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from deepclarity.stream import planes
from deepclarity.stream.files.timestamps import DecodeTimes
from deepclarity.stream.frame import Frame
from deepclarity.stream.info import VideoInfo
from deepclarity.stream.packets import AnyPacket
from deepclarity.stream.user_data.messages import Messages

from .decode import decode_frames
from .encoder import SegmentEncoder
from .errors import CopyError
from .reader import SegmentReader
from .segment import Entry, Segment
from .syntax import H264Syntax
from .track import picture_of

REPAIRED = "segments with repaired frames"
_DEPENDENT = "segments that depend on one that was encoded anew"
_DAMAGED = "segments with damaged frames"
_MISMATCH = "segments whose frames are not those that their packets announce"


@dataclass(slots=True)
class CopyCounts:
    """Which frames were copied, and why the others were not."""

    ranges: list[tuple[int, int]] = field(default_factory=list)
    """First and last index of each stretch of frames that were copied."""
    encoded_ranges: list[tuple[int, int, str]] = field(default_factory=list)
    """First and last index of each stretch of frames that were encoded anew, and why."""

    @property
    def copied(self) -> int:
        """Number of frames that were copied."""
        return sum(last - first + 1 for first, last in self.ranges)

    @property
    def reasons(self) -> dict[str, int]:
        """Number of frames that were encoded anew, by reason."""
        counts: dict[str, int] = {}
        for first, last, reason in self.encoded_ranges:
            counts[reason] = counts.get(reason, 0) + last - first + 1
        return counts

    def add(self, first: int, last: int) -> None:
        """Count copied frames, `last` included."""
        if self.ranges and self.ranges[-1][1] == first - 1:
            self.ranges[-1] = self.ranges[-1][0], last
        else:
            self.ranges.append((first, last))

    def encoded(self, reason: str, first: int, last: int) -> None:
        """Count frames that were encoded anew, `last` included."""
        if self.encoded_ranges and self.encoded_ranges[-1][1:] == (first - 1, reason):
            self.encoded_ranges[-1] = self.encoded_ranges[-1][0], last, reason
        else:
            self.encoded_ranges.append((first, last, reason))


@dataclass(frozen=True, slots=True)
class _Held:
    """A frame that waits for the verdict on its segment: without its picture, which can be decoded again."""

    index: int
    pts: int
    user_data: Messages


class Splicer:
    """Takes every frame in order; returns packets: copied where a segment needs no repair, else encoded.

    A segment is copied once all its frames have come by unchanged. If one is to be encoded, the frames before it are
    decoded again, so that memory holds packets and no pictures.
    """

    def __init__(
        self, reader: SegmentReader, encoder: SegmentEncoder | None, info: VideoInfo, pixel_format: str
    ) -> None:
        """`encoder`: None if packets of the codec cannot stand beside encoded ones; CopyError is raised then where one
        has to be encoded. `pixel_format`: that of the frames."""
        self.counts = CopyCounts()
        self._reader = reader
        self._encoder = encoder
        self._info = info
        self._pixel_format = pixel_format
        self._segments = iter(reader)
        self._segment = next(self._segments, None)
        self._before: Segment | None = None
        """The segment before, if it was copied."""
        self._held: list[_Held] = []
        self._reason: str | None = None
        """Why this segment is encoded; None while it may be copied."""
        self._times = DecodeTimes(negative=True)
        self._depth = 0

    def close(self) -> None:
        """Close the source's file."""
        self._reader.close()

    def add_stream(self, container: OutputContainer, *, negative_dts: bool) -> VideoStream:
        """Add the track to a container, with the parameter sets of source and encoder."""
        stream = container.add_stream_from_template(self._reader.stream, opaque=True)
        assert isinstance(stream, VideoStream)
        stream.time_base = self._info.time_base
        tag = self._reader.stream.codec_tag
        if container.format.name in ("mp4", "mov") and self._reader.codec == "hevc":
            stream.codec_tag = tag if tag == "hev1" else "hvc1"  # Apple's players require hvc1
        depths = [int(self._reader.stream.codec_context.reorder_depth)]
        depths.append(self._segment.reorder_depth if self._segment else 0)
        if self._encoder is not None and isinstance(self._reader.syntax, H264Syntax):
            stream.codec_context.extradata = self._reader.syntax.config.merged(self._encoder.config).pack()
            depths.append(self._encoder.reorder_depth)
        self._depth = max(depths)
        self._times = DecodeTimes(negative=negative_dts)
        self._begin()
        return stream

    def write(self, frame: Frame) -> Iterator[AnyPacket]:
        """Take one frame; yield the packets that are ready, with DTS, in decoding order."""
        while self._segment is not None and frame.pts > self._segment.frame_pts[-1]:
            yield from self._encode_held(_MISMATCH)
            self._advance(copied=False)
        self._times.register(frame.pts)
        reason = self._reason or self._frame_reason(frame)
        if reason is not None:
            yield from self._encode_held(reason)
            held = _Held(frame.index, frame.pts, frame.user_data)
            yield from self._encode(held, picture_of(frame, self._pixel_format), frame.duration)
            self.counts.encoded(reason, frame.index, frame.index)
            return
        self._held.append(_Held(frame.index, frame.pts, frame.user_data))
        assert self._segment is not None
        if len(self._held) == len(self._segment.packets):
            yield from self._copy(self._segment)
            self._advance(copied=True)

    def finish(self) -> Iterator[AnyPacket]:
        """The packets that remain after the last frame."""
        yield from self._encode_held(_MISMATCH)
        yield from self._flush()

    def _frame_reason(self, frame: Frame) -> str | None:
        """Why a frame cannot be copied."""
        if frame.changed:
            return REPAIRED
        if not frame.intact:
            return _DAMAGED
        assert self._segment is not None
        expected = self._segment.frame_pts[len(self._held)]
        return None if frame.pts == expected else _MISMATCH

    def _advance(self, *, copied: bool) -> None:
        self._before = self._segment if copied else None
        self._segment = next(self._segments, None)
        self._begin()

    def _begin(self) -> None:
        """Decide what is known of a segment before its first frame."""
        segment, self._held = self._segment, []
        if segment is None:
            self._reason = _MISMATCH
        elif segment.obstacle is None and segment.reorder_depth > self._depth:
            self._reason = "frames are reordered further than at the beginning"
        elif segment.obstacle is None and segment.entry is Entry.OPEN and self._before is None:
            self._reason = _DEPENDENT
        else:
            self._reason = segment.obstacle

    def _copy(self, segment: Segment) -> Iterator[AnyPacket]:
        yield from self._flush()
        self.counts.add(self._held[0].index, self._held[-1].index)
        yield from self._timed(segment.packets)

    def _encode_held(self, reason: str) -> Iterator[AnyPacket]:
        """Encode this segment from its first frame on: decode again those that have gone by."""
        self._reason = reason
        held, self._held = self._held, []
        if not held or self._segment is None:
            return
        self.counts.encoded(reason, held[0].index, held[-1].index)
        pictures = decode_frames(
            self._reader.stream, self._segment, before=self._before, wanted=[each.pts for each in held]
        )
        for each, picture in zip(held, pictures, strict=True):
            yield from self._encode(each, planes.to_planar(picture, self._pixel_format), picture.duration or 0)

    def _encode(self, frame: _Held, picture: VideoFrame, duration: int) -> Iterator[AnyPacket]:
        if self._encoder is None:
            raise CopyError(f"{self._reader.codec} packets cannot stand beside encoded ones: {self._reason}")
        info = self._info
        ready = planes.prepare_for_encoder(
            picture, pts=frame.pts, time_base=info.time_base, duration=duration, colour=info.colour
        )
        yield from self._timed(self._encoder.encode(ready, frame.user_data))

    def _flush(self) -> Iterator[AnyPacket]:
        if self._encoder is not None:
            yield from self._timed(self._encoder.flush())

    def _timed(self, packets: Iterable[AnyPacket]) -> Iterator[AnyPacket]:
        for packet in packets:
            packet.dts = self._times.next(packet.pts, self._depth)
            yield packet
