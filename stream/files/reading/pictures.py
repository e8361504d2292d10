"""Decodes every picture of a track that FFmpeg can give in any threading mode.

Frame threads are fast, but lose pictures in flight where the stream is damaged or ends early, sometimes without an
error. So a sound file is decoded by frame threads; at the first damage, and if pictures are missing at the end, the
decoder starts again with slice threads, before the last picture that came out, and goes on from there.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from deepclarity.stream.files.demux import demux_packets
from deepclarity.stream.packets import AnyPacket

_OPTIONS = {"libdav1d": {"max_frame_delay": "1"}}
"""Decoder options in which no picture is in flight, where slice threads are not enough."""
_MAX_FLUSHES = 50


class _DamageError(Exception):
    """Frame threads met damage."""


@dataclass(slots=True)
class _Progress:
    """How far the first decoder got."""

    pictures: int = 0
    last_pts: int | None = None
    ordered: bool = True
    """Whether all pictures had increasing presentation times, by which they can be distinguished."""
    packets: int = 0
    key_packets: deque[int] = field(default_factory=lambda: deque([0], maxlen=2))
    """The numbers of the last two key packets."""

    def count(self, picture: VideoFrame) -> None:
        if picture.pts is None or (self.last_pts is not None and picture.pts <= self.last_pts):
            self.ordered = False
        self.pictures, self.last_pts = self.pictures + 1, picture.pts


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
    ) -> None:
        """`reopen`: opens the file anew; `options`: of the decoder.

        `on_damage` is called for each packet that cannot be read or decoded, `on_restart` before packets that may have
        been counted already are read again.
        """
        self._container, self._stream, self._reopen = container, stream, reopen
        self._options, self._on_damage, self._on_restart = dict(options), on_damage, on_restart
        self._second: InputContainer | None = None
        self.packets = 0
        """Packets read so far."""
        self.busy_s = 0.0
        """Seconds spent reading and decoding."""

    def close(self) -> None:
        """Close what was opened anew."""
        if self._second is not None:
            self._second.close()

    def pictures(self) -> Generator[VideoFrame, None, None]:
        """Yield every picture that can be decoded; damaged packets are counted and skipped."""
        done = _Progress()
        try:
            yield from self._by_frame_threads(done)
            if done.pictures >= done.packets:
                return
        except _DamageError:
            pass
        yield from self._by_slice_threads(done)

    def _by_frame_threads(self, done: _Progress) -> Iterator[VideoFrame]:
        """Raises _DamageError at the first packet that cannot be read or decoded."""
        stream = self._stream
        stream.thread_type = "AUTO"
        stream.codec_context.options = self._options
        packets = demux_packets(self._container, [stream], on_damage=_refuse)
        while True:
            started = time.perf_counter()
            packet = next(packets, None)
            if packet is not None:
                if packet.is_keyframe:
                    done.key_packets.append(done.packets)
                done.packets += 1
                self.packets = done.packets
            try:
                found = stream.decode(packet)  # None at the end flushes the decoder
            except (av.error.FFmpegError, ValueError) as error:
                raise _DamageError from error
            self.busy_s += time.perf_counter() - started
            for picture in found:
                done.count(picture)
                yield picture
            if packet is None:
                return

    def _by_slice_threads(self, done: _Progress) -> Iterator[VideoFrame]:
        """The pictures after those that are `done`."""
        self._on_restart()
        self._second = container = self._reopen()
        stream = container.streams[self._stream.index]
        assert isinstance(stream, VideoStream)
        stream.thread_type = "SLICE"
        stream.codec_context.options = {**self._options, **_OPTIONS.get(stream.codec_context.codec.name, {})}
        # The key frame before the last one: pictures shown after the last may lean on frames before it.
        first = done.key_packets[0] if done.ordered and len(done.key_packets) > 1 else 0
        skip = 0 if first else done.pictures
        self.packets = 0
        for picture in self._decoded(container, stream, first):
            if first:
                if done.last_pts is not None and picture.pts is not None and picture.pts <= done.last_pts:
                    continue
            elif skip:
                skip -= 1
                continue
            yield picture

    def _decoded(self, container: InputContainer, stream: VideoStream, first: int) -> Iterator[VideoFrame]:
        """The pictures from packet number `first` on."""
        for packet in demux_packets(container, [stream], on_damage=self._on_damage):
            self.packets += 1
            if self.packets > first:
                yield from self._of(stream, packet)
        for _ in range(_MAX_FLUSHES):
            damaged = False
            try:
                found = stream.decode(None)
            except EOFError:
                return
            except (av.error.FFmpegError, ValueError):
                damaged, found = True, []
                self._on_damage()
            yield from found
            if not damaged:
                return

    def _of(self, stream: VideoStream, packet: AnyPacket) -> list[VideoFrame]:
        started = time.perf_counter()
        try:
            return stream.decode(packet)
        except (av.error.FFmpegError, ValueError):
            self._on_damage()
            return []
        finally:
            self.busy_s += time.perf_counter() - started


def _refuse() -> None:
    raise _DamageError
