"""Pipe source: decodes a video that arrives on standard input, and hands on the packets of its other tracks."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
from av.container import InputContainer
from av.container.streams import StreamContainer
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from deepclarity.errors import SourceError
from deepclarity.stream import planes
from deepclarity.stream.damage import DamageTracker
from deepclarity.stream.files.coding import EXPORTING, coding_of
from deepclarity.stream.files.demux import demux_packets
from deepclarity.stream.files.passthrough import Passthrough
from deepclarity.stream.files.source import describe
from deepclarity.stream.files.timestamps import MonotonicTimestamps
from deepclarity.stream.frame import Frame
from deepclarity.stream.handover import WhenFull
from deepclarity.stream.interlaced.deinterlace import Deinterlacer
from deepclarity.stream.interlaced.modes import Deinterlacing
from deepclarity.stream.interrupts import defer_interrupts
from deepclarity.stream.packets import AnyPacket

from .files import PipeReader

STANDARD_INPUT = Path("-")
_NAME = "standard input"
_BUFFER_BYTES = 1 << 20
_MAX_QUEUED_BYTES = 512 << 20
"""Packets of other tracks that may wait for the video."""


class PipeSource:
    """Decodes the video on standard input; a context manager.

    Any container that FFmpeg reads from its beginning to its end: Matroska, MPEG-TS, NUT, YUV4MPEG, fragmented MP4, …
    """

    when_full = WhenFull.WAIT

    def __init__(self) -> None:
        """Read the header and decode the first picture.

        Raises SourceError if there is no video in it, UsageError if standard input is a terminal.
        """
        self.path = STANDARD_INPUT
        self.damaged = 0
        self.retimed = 0
        self.busy_s = 0.0
        self.other_videos: list[str] = []
        self.lost: list[str] = []
        self.deinterlacer: Deinterlacer | None = None
        self._reader = PipeReader()
        with defer_interrupts(self._reader.wait):
            self._read_beginning()

    def _read_beginning(self) -> None:
        self._container = self._open()
        try:
            self._stream = _video_stream(self._container)
            self._codec = self._stream.codec_context.name
            if self._codec in EXPORTING:
                self._stream.codec_context.options = {"export_side_data": "venc_params"}
            self._damage = DamageTracker()
            self._tracks = PipeTracks(self._container, exclude=self._stream.index)
            self._pictures = self._decode()
            self._first = self._first_picture()
            self.pixel_format = planes.planar_format(self._first.format.name)
            self.info = describe(Path(_NAME), self._container, self._stream, self._first)
        except BaseException:
            self._close()
            raise

    def _open(self) -> InputContainer:
        try:
            return av.open(self._reader, "r", buffer_size=_BUFFER_BYTES, metadata_errors="replace")
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self._reader.close()
            self._reader.check()
            raise SourceError(
                f"{_NAME}: no video that FFmpeg can read from a pipe. Use mkv, ts, nut, y4m or a fragmented mp4; "
                "name any other file instead of -."
            ) from error

    def __enter__(self) -> PipeSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pictures.close()
        self._close()

    def _close(self) -> None:
        self._container.close()
        self._reader.close()

    def interrupt(self) -> None:
        """End a read that waits for data: called from another thread when the run is abandoned."""
        self._reader.interrupt()

    def choose_pixel_format(self, encoder: str | None) -> None:
        """Convert frames to a pixel format that `encoder` (FFmpeg's name) supports; None: to the nearest planar one."""
        self.pixel_format = planes.planar_format(self.info.pixel_format, encoder=encoder)

    @property
    def passthrough(self) -> Passthrough:
        """The other tracks of the stream."""
        return self._tracks

    def deinterlace(self, setting: Deinterlacing) -> None:
        """Nothing is deinterlaced here."""

    def __iter__(self) -> Iterator[Frame]:
        step = max(1, round(1 / ((self.info.rate or Fraction(25)) * self.info.time_base)))
        timestamps, coding = MonotonicTimestamps(step=step), None
        for index, picture in enumerate(self._all_pictures()):
            pts = picture.pts if picture.pts is not None else picture.dts
            if pts is None:
                pts = 0 if timestamps.last is None else timestamps.last + step
            placed = timestamps.place(pts)
            self.retimed = timestamps.moved
            started = time.perf_counter()
            intact = self._damage.is_intact(key=picture.key_frame, corrupt=picture.is_corrupt)
            coding = coding_of(picture, self._codec, coding)
            picture = planes.to_planar(picture, self.pixel_format)  # noqa: PLW2901
            frame = Frame(
                planes=planes.planes_of(picture),
                index=index,
                pts=placed,
                time_base=self.info.time_base,
                duration=picture.duration or 0,
                depth=planes.depth_of(self.pixel_format),
                subsampling=planes.subsampling_of(self.pixel_format),
                full_range=self.info.colour.range == 2,
                picture=picture,
                intact=intact,
                coding=coding,
            )
            self.busy_s += time.perf_counter() - started
            yield frame

    def _all_pictures(self) -> Iterator[VideoFrame]:
        yield self._first
        del self._first
        yield from self._pictures

    def _decode(self) -> Generator[VideoFrame, None, None]:
        """Yield every picture that can be decoded, and queue the packets of the other tracks."""
        streams: list[Stream] = [self._stream, *self._tracks.streams]
        packets = demux_packets(self._container, streams, on_damage=self._count_damage)
        while True:
            started = time.perf_counter()
            packet = next(packets, None)
            self._reader.check()
            if packet is not None and packet.stream.index != self._stream.index:
                self._tracks.put(packet)
                continue
            try:
                pictures = self._stream.decode(packet)  # None at the end flushes the decoder
            except (av.error.FFmpegError, ValueError):
                self._count_damage()
                pictures = []
            self.busy_s += time.perf_counter() - started
            yield from pictures
            if packet is None:
                return

    def _count_damage(self) -> None:
        self.damaged += 1
        self._damage.lost()

    def _first_picture(self) -> VideoFrame:
        for picture in self._pictures:
            return picture
        if "mp4" in self._container.format.name:
            raise SourceError(f"{_NAME}: an mp4 whose index is at its end cannot be read from a pipe. Name the file.")
        raise SourceError(f"{_NAME}: no frame of it can be decoded. Check the program that sends it.")


class PipeTracks(Passthrough):
    """The other tracks of a stream that can be read only once: packets wait in a queue until the video is as far.

    The source's thread fills the queue, the sink's empties it; a deque needs no lock for that.
    """

    def __init__(self, container: InputContainer, *, exclude: int) -> None:
        super().__init__(STANDARD_INPUT, exclude=exclude, container=container)
        self._queue: deque[AnyPacket] = deque()
        self._put_bytes = self._taken_bytes = 0

    @property
    def streams(self) -> list[Stream]:
        """The tracks whose packets `put` takes."""
        return [stream for stream in self._streams if stream.type in ("audio", "subtitle", "video", "data")]

    def put(self, packet: AnyPacket) -> None:
        """Queue a packet; raises SourceError if too many wait, which players could not play either."""
        self._put_bytes += packet.size
        if self._put_bytes - self._taken_bytes > _MAX_QUEUED_BYTES:
            raise SourceError(
                f"{_NAME}: its tracks are not interleaved: 512 MB wait for the video. Name the file instead."
            )
        self._queue.append(packet)

    def packets_until(self, time_s: Fraction | None) -> Iterator[AnyPacket]:
        """Yield the packets that have arrived, up to `time_s` seconds; None: all that remain."""
        if self._next is None:
            self._next = self._read()
        yield from super().packets_until(time_s)

    def _read(self) -> AnyPacket | None:
        while self._queue:
            packet = self._queue.popleft()
            self._taken_bytes += packet.size
            if packet.stream.index in self._outputs and (packet.dts is not None or packet.pts is not None):
                return packet
        return None


def _video_stream(container: InputContainer) -> VideoStream:
    """The default video track, else the largest; cover pictures do not count."""
    streams: StreamContainer = container.streams
    videos = [stream for stream in streams.video if not stream.disposition & Disposition.attached_pic]
    if not videos:
        raise SourceError(f"{_NAME}: no video in it, {len(streams.audio) or 'no'} audio tracks. Send a video.")
    default = [stream for stream in videos if stream.disposition & Disposition.default]
    best = max(default or videos, key=lambda stream: stream.width * stream.height)
    if best.codec_context is None:
        raise SourceError(f"{_NAME}: FFmpeg has no decoder for its video codec. Convert it first.")
    best.thread_type = "SLICE"  # frame threads lose pictures around damage, and a pipe cannot be read again
    return best
