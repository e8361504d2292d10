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
from av.stream import Stream
from av.video.frame import VideoFrame

from deepclarity.errors import SourceError
from deepclarity.stream import planes
from deepclarity.stream.damage import DamageTracker
from deepclarity.stream.files.coding import EXPORTING
from deepclarity.stream.files.demux import demux_packets
from deepclarity.stream.files.passthrough import Passthrough
from deepclarity.stream.files.reading.extras import extras_of_track
from deepclarity.stream.files.reading.packet_content import NOTHING, PacketContent, content_reader
from deepclarity.stream.files.reading.packets_seen import PacketsSeen
from deepclarity.stream.files.reading.pictures import identify
from deepclarity.stream.files.reading.timed import TimedPictures, deinterlaced, frame_of
from deepclarity.stream.files.reading.tracks import other_videos, video_track
from deepclarity.stream.files.source import describe
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

    def __init__(self, *, track: int | None = None) -> None:
        """Read the header and decode the first picture; `track`: see `video_track`.

        Raises SourceError if there is no video in it, UsageError if standard input is a terminal.
        """
        self.path = STANDARD_INPUT
        self.damaged = 0
        self.busy_s = 0.0
        self.deinterlacer: Deinterlacer | None = None
        self._joins = 0
        self._encoder: str | None = None
        self._track = track
        self._content = NOTHING
        self._reader = PipeReader()
        with defer_interrupts(self._reader.wait):
            self._read_beginning()

    def _read_beginning(self) -> None:
        self._container = self._open()
        try:
            self._stream = video_track(self._container, _NAME, track=self._track)
            self._stream.thread_type = "SLICE"  # frame threads lose pictures around damage; a pipe is read only once
            self.other_videos = other_videos(self._container, self._stream)
            """A description of each video track that is not decoded."""
            self._codec = self._stream.codec_context.name
            if self._codec in EXPORTING:
                self._stream.codec_context.options = {"export_side_data": "venc_params"}
            self._damage = DamageTracker()
            self._tracks = PipeTracks(self._container, exclude=self._stream.index)
            self._pictures = self._decode()
            self._first = self._first_picture()
            self.pixel_format = planes.planar_format(self._first.format.name)
            self.info = describe(Path(_NAME), self._container, self._stream, self._first)
            self._extras = list(dict.fromkeys(extras_of_track(self._stream, self._first)))
            self._decoded = TimedPictures(
                self._all_pictures(),
                self.info,
                codec=self._codec,
                damage=self._damage,
                decoding_order_only=self._container.format.name == "avi",
            )
            self._timed = iter(self._decoded)
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
        self._encoder = encoder
        self.pixel_format = planes.planar_format(self.info.pixel_format, encoder=encoder)

    @property
    def retimed(self) -> int:
        """Frames whose timestamp did not increase and was corrected, and joins of recordings."""
        return self._decoded.retimed + self._joins

    @property
    def lost(self) -> list[str]:
        """What the video has, as far as it was read, that the output will not have."""
        return list(dict.fromkeys([*self._extras, *self._decoded.lost(self._encoder)]))

    @property
    def passthrough(self) -> Passthrough:
        """The other tracks of the stream."""
        return self._tracks

    def deinterlace(self, setting: Deinterlacing) -> None:
        """Deinterlace pictures from here on; call it before the iteration. `info` becomes that of the result."""
        if setting.is_active:
            with defer_interrupts(self._reader.wait):
                self.deinterlacer, self.info = deinterlaced(self._timed, setting, self.info)
            self._timed = iter(self.deinterlacer)

    def __iter__(self) -> Iterator[Frame]:
        for index, timed in enumerate(self._timed):
            started = time.perf_counter()
            frame = frame_of(timed, index=index, info=self.info, pixel_format=self.pixel_format)
            self.busy_s += time.perf_counter() - started
            yield frame

    def _all_pictures(self) -> Iterator[tuple[VideoFrame, PacketContent]]:
        yield self._first, self._content
        del self._first
        for picture in self._pictures:
            yield picture, self._content

    def _decode(self) -> Generator[VideoFrame, None, None]:
        """Yield every picture that can be decoded, and queue the packets of the other tracks."""
        streams: list[Stream] = [self._stream, *self._tracks.streams]
        packets = demux_packets(
            self._container,
            streams,
            on_damage=self._count_damage,
            on_late_packet=self._tracks.count_late,
            on_join=self._count_join,
        )
        context = self._stream.codec_context
        seen = PacketsSeen(content_reader(context.codec.canonical_name, bytes(context.extradata or b"")))
        while True:
            started = time.perf_counter()
            packet = next(packets, None)
            self._reader.check()
            if packet is not None and packet.stream.index != self._stream.index:
                self._tracks.put(packet)
                continue
            if packet is not None:
                seen.mark(packet)
            try:
                pictures = self._stream.decode(packet)  # None at the end flushes the decoder
            except (av.error.FFmpegError, ValueError):
                self._count_damage()
                pictures = []
            self.busy_s += time.perf_counter() - started
            for picture in pictures:
                self._content = seen.take_content(identify(seen, picture, self._stream))
                yield picture
            if packet is None:
                return

    def _count_damage(self) -> None:
        self.damaged += 1
        self._damage.lost()

    def _count_join(self) -> None:
        self._joins += 1

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
