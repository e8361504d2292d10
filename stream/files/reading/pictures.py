"""Decodes every picture of a track that FFmpeg can give in any threading mode.

Frame threads are fast, but lose pictures in flight where the stream is damaged or ends early, sometimes without an
error. So a sound file is decoded by frame threads. At the first damage, or if a picture is missing, a second decoder
with slice threads starts at a key frame before it, leaves out what has been delivered, and goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping

import av
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from deepclarity.stream.files.demux import demux_packets
from deepclarity.stream.packets import AnyPacket

from .decoder import decoder_of
from .packet_content import NOTHING, content_reader
from .packets_seen import PacketsSeen

_OPTIONS = {"libdav1d": {"max_frame_delay": "1"}}
"""Decoder options in which no picture is in flight, where slice threads are not enough."""
_MAX_FLUSHES = 50
_MAX_FALSE_ALARMS = 3


class _DamageError(Exception):
    """Frame threads met damage, or lost a picture."""


class PictureReader:
    """The pictures of one track, in presentation order; open containers are closed by `close`."""

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        reopen: Callable[[], InputContainer],
        *,
        options: Mapping[str, str],
        on_damage: Callable[[], None],
        on_restart: Callable[[], None],
        on_join: Callable[[], None] = lambda: None,
    ) -> None:
        """`reopen`: opens the file anew; `options`: of the decoder.

        `on_damage` is called for each packet that cannot be read or decoded, `on_restart` before packets that may have
        been counted already are read again, `on_join` where the times of a joined recording begin anew.
        """
        self._container, self._stream, self._reopen = container, stream, reopen
        self._options, self._on_damage, self._on_restart = dict(options), on_damage, on_restart
        self._on_join = on_join
        self._second: InputContainer | None = None
        self._expects_order = container.format.name != "avi"  # which has no presentation times: FFmpeg makes them up
        self._false_alarms = 0
        self.content = NOTHING
        """What its packet says of the picture that was yielded last."""
        self.packets = 0
        """Packets read so far."""
        self.busy_s = 0.0
        """Seconds spent reading and decoding."""

    @property
    def restarted(self) -> bool:
        """Whether the second decoder, with slice threads, is in use."""
        return self._second is not None

    def close(self) -> None:
        """Close what was opened anew."""
        if self._second is not None:
            self._second.close()
            self._second = None

    def pictures(self) -> Generator[VideoFrame, None, None]:
        """Yield every picture that can be decoded; damaged packets are counted and skipped."""
        seen = self._packets_seen()
        try:
            yield from self._by_frame_threads(seen)
        except _DamageError:
            yield from self._by_slice_threads(seen)

    def _packets_seen(self) -> PacketsSeen:
        context = self._stream.codec_context
        return PacketsSeen(content_reader(context.codec.canonical_name, bytes(context.extradata or b"")))

    def _by_frame_threads(self, seen: PacketsSeen) -> Iterator[VideoFrame]:
        """Raises _DamageError at the first packet that cannot be read or decoded, and before a gap."""
        stream, decoder = self._stream, decoder_of(self._stream)
        decoder.thread_type = "AUTO"
        decoder.options = self._options
        packets = demux_packets(self._container, [stream], on_damage=_refuse, on_join=self._on_join)
        ended = False
        while not ended:
            started = time.perf_counter()
            packet = next(packets, None)
            if packet is not None:
                seen.mark(packet)
                self.packets = seen.count
            try:
                found = decoder.decode(packet)  # None at the end flushes the decoder
            except (av.error.FFmpegError, ValueError) as error:
                raise _DamageError from error
            self.busy_s += time.perf_counter() - started
            for picture in found:
                number = identify(seen, picture, stream)
                self._expect_no_gap(seen, picture)
                seen.deliver(number)
                self.content = seen.take_content(number)
                yield picture
            ended = packet is None
        if seen.lacks_end() and self._slice_threads_find_more(seen, before=None):
            raise _DamageError

    def _expect_no_gap(self, seen: PacketsSeen, picture: VideoFrame) -> None:
        """Raise _DamageError if `picture` is damaged, or comes though one before it has not."""
        if picture.is_corrupt:
            raise _DamageError
        if self._expects_order and seen.has_gap_before(picture):
            if self._slice_threads_find_more(seen, before=picture.pts):
                raise _DamageError
            seen.accept_gap_before(picture)
            self._false_alarms += 1  # not every packet of this file holds a picture
            self._expects_order = self._false_alarms < _MAX_FALSE_ALARMS

    def _slice_threads_find_more(self, seen: PacketsSeen, *, before: int | None) -> bool:
        """Whether the second decoder has a missing picture to be shown before this time; None: at any time."""
        pictures = self._by_slice_threads(seen, counts=False)
        found = next(pictures, None)
        pictures.close()
        self.close()
        return found is not None and (before is None or (found.pts is not None and found.pts < before))

    def _by_slice_threads(self, done: PacketsSeen, *, counts: bool = True) -> Generator[VideoFrame, None, None]:
        """The pictures that the first decoder has not delivered. `counts`: report damage and joins."""
        if counts:
            self._on_restart()
        self._second = container = self._reopen()
        stream = container.streams[self._stream.index]
        assert isinstance(stream, VideoStream)
        decoder = decoder_of(stream)
        decoder.thread_type = "SLICE"
        decoder.options = {**self._options, **_OPTIONS.get(decoder.codec.name, {})}
        on_damage, on_join = (self._on_damage, self._on_join) if counts else (_ignore, _ignore)
        packets = demux_packets(container, [stream], on_damage=on_damage, on_join=on_join)
        read, missing, first = done.count, frozenset(done.missing), done.entry_point()
        seen = self._packets_seen()
        for picture in self._decoded(packets, decoder, seen, first, on_damage):
            number = identify(seen, picture, stream)
            repeated = seen.count <= read if number is None else number < read and number not in missing
            if not repeated:
                self.content = seen.take_content(number)
                yield picture

    def _decoded(
        self,
        packets: Iterator[AnyPacket],
        decoder: VideoCodecContext,
        seen: PacketsSeen,
        first: int,
        on_damage: Callable[[], None],
    ) -> Iterator[VideoFrame]:
        """The pictures from packet number `first` on."""
        for packet in packets:
            seen.mark(packet)
            self.packets = max(self.packets, seen.count)
            if seen.count > first:
                yield from self._of(decoder, packet, on_damage)
        for _ in range(_MAX_FLUSHES):
            damaged = False
            try:
                found = decoder.decode(None)
            except EOFError:
                return
            except (av.error.FFmpegError, ValueError):
                damaged, found = True, []
                on_damage()
            yield from found
            if not damaged:
                return

    def _of(self, decoder: VideoCodecContext, packet: AnyPacket, on_damage: Callable[[], None]) -> list[VideoFrame]:
        started = time.perf_counter()
        try:
            return decoder.decode(packet)
        except (av.error.FFmpegError, ValueError):
            on_damage()
            return []
        finally:
            self.busy_s += time.perf_counter() - started


def identify(seen: PacketsSeen, picture: VideoFrame, stream: VideoStream) -> int | None:
    """The number of the packet that held a picture of `stream`, whose times are put right; None if unknown."""
    number = seen.identify(picture)
    if stream.codec_context.codec.name == "libdav1d":  # it reports the presentation time for both
        picture.dts = picture.pts
    return number


def _refuse() -> None:
    raise _DamageError


def _ignore() -> None:
    pass
