"""File source: decodes packet by packet, so that damage costs only the damaged frames."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import av
from av.container import InputContainer
from av.sidedata.sidedata import SideData
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from deepclarity.errors import SourceError, hide_secrets
from deepclarity.stream import errors, planes
from deepclarity.stream.frame import Frame
from deepclarity.stream.handover import WhenFull
from deepclarity.stream.info import VideoInfo

from .demux import open_input, packets_of
from .timestamps import MonotonicTimestamps


class Source(Protocol):
    """Pictures arriving, in presentation order."""

    info: VideoInfo
    when_full: WhenFull
    damaged: int
    """Packets that could not be decoded so far, and at the end also frames promised but missing."""
    retimed: int
    """Frames whose timestamp stood still or ran backwards and was moved."""
    busy_s: float
    """Seconds spent reading and decoding."""

    def __iter__(self) -> Iterator[Frame]: ...


class FileSource:
    """A video file. `with FileSource(path) as source: for frame in source: …`

    Raises SourceError where the file cannot be read or holds no picture at all.
    """

    when_full = WhenFull.WAIT

    def __init__(self, path: Path | str, *, demuxer: str | None = None) -> None:
        """Open `path` and decode as far as its first picture. `demuxer`: see `open_input`."""
        self.path = Path(path)
        self.damaged = 0
        self.retimed = 0
        self.busy_s = 0.0
        errors.check_readable(self.path)
        self._container = open_input(self.path, demuxer=demuxer)
        try:
            self._stream = _video_stream(self._container, str(self.path))
            self._promised = len(self._stream.index_entries)
            self._packets = 0
            self._pictures = self._decode()
            self._first = self._first_picture()
            self.planar = planes.planar_format(self._first.format.name)
            self.info = _describe(self.path, self._container, self._stream, self._first)
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> FileSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pictures.close()
        self._container.close()

    def suit(self, encoder: str) -> None:
        """Work in a pixel format that FFmpeg's `encoder` takes: the source's own where that can be."""
        self.planar = planes.planar_format(self.info.pixel_format, encoder=encoder)

    @property
    def stream_index(self) -> int:
        """Which stream of the file the pictures come from."""
        return self._stream.index

    def __iter__(self) -> Iterator[Frame]:
        clock = _Clock(self.info)
        for index, picture in enumerate(self._all_pictures()):
            pts = clock.stamp(picture)
            self.retimed = clock.moved
            began = time.perf_counter()
            picture = planes.to_planar(picture, self.planar)  # noqa: PLW2901
            frame = Frame(
                planes=planes.planes_of(picture),
                index=index,
                pts=pts,
                time_base=self.info.time_base,
                duration=picture.duration or 0,
                depth=planes.depth_of(self.planar),
                subsampling=planes.subsampling_of(self.planar),
                full_range=self.info.colour.range == 2,
                picture=picture,
            )
            self.busy_s += time.perf_counter() - began
            yield frame
        self.damaged += self._missing()

    def _all_pictures(self) -> Iterator[VideoFrame]:
        yield self._first
        del self._first
        yield from self._pictures

    def _decode(self) -> Generator[VideoFrame, None, None]:
        """Every picture that can be had; a packet that cannot be decoded is counted and passed over."""
        packets = packets_of(self._container, [self._stream], damaged=self._count_damage)
        while True:
            began = time.perf_counter()
            packet = next(packets, None)
            self._packets += packet is not None
            try:
                pictures = self._stream.decode(packet)  # None at the end: what the decoder still holds
            except (av.error.FFmpegError, ValueError):
                self._count_damage()
                pictures = []
            self.busy_s += time.perf_counter() - began
            yield from pictures
            if packet is None:
                return

    def _count_damage(self) -> None:
        self.damaged += 1

    def _first_picture(self) -> VideoFrame:
        for picture in self._pictures:
            return picture
        raise SourceError(f"{self.path}: not one picture of it can be decoded. Check that the file is complete.")

    def _missing(self) -> int:
        """Packets that an ISO file's index promises but that the file was cut before."""
        return max(0, self._promised - self._packets) if "mp4" in self._container.format.name else 0


class _Clock:
    """Gives every picture a time that is later than the one before."""

    def __init__(self, info: VideoInfo) -> None:
        rate = info.rate or Fraction(25)
        step = max(1, round(1 / (rate * info.time_base)))
        self._step = step
        self._timestamps = MonotonicTimestamps(step=step)

    @property
    def moved(self) -> int:
        return self._timestamps.moved

    def stamp(self, picture: VideoFrame) -> int:
        pts = picture.pts if picture.pts is not None else picture.dts
        if pts is None:  # raw streams carry no time: the nominal rate is all there is
            last = self._timestamps.last
            pts = 0 if last is None else last + self._step
        return self._timestamps.place(pts)


def _video_stream(container: InputContainer, name: str) -> VideoStream:
    """The default moving picture, else the largest; cover art does not count."""
    moving = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not moving:
        heard = f"{len(container.streams.audio)} audio" if container.streams.audio else "no"
        raise SourceError(f"{name}: no video in it ({heard} tracks). Name a file with pictures.")
    default = [s for s in moving if s.disposition & av.stream.Disposition.default]
    best = max(default or moving, key=lambda s: s.width * s.height)
    if best.codec_context is None:
        raise SourceError(f"{name}: FFmpeg has no decoder for its video. Convert it first.")
    best.thread_type = "AUTO"
    return best


def _describe(path: Path, container: InputContainer, stream: VideoStream, first: VideoFrame) -> VideoInfo:
    side = {data.type: bytes(data) for data in _side_data(first)}
    matrix = side.get(SideDataType.DISPLAYMATRIX)
    duration = container.duration / av.time_base if container.duration else None
    return VideoInfo(
        name=hide_secrets(str(path)),
        width_px=first.width,
        height_px=first.height,
        pixel_format=first.format.name,
        time_base=stream.time_base or Fraction(1, 90_000),
        rate=stream.average_rate or stream.guessed_rate,
        frames=len(stream.index_entries) or stream.frames or None,
        duration_s=duration,
        sample_aspect=stream.sample_aspect_ratio or Fraction(1),
        display_matrix=_matrix(matrix) if matrix else None,
        colour=planes.colour_of(first),
        mastering=side.get(SideDataType.MASTERING_DISPLAY_METADATA),
        light_level=side.get(SideDataType.CONTENT_LIGHT_LEVEL),
        interlaced=first.interlaced_frame,
    )


def _side_data(picture: VideoFrame) -> Iterator[SideData]:
    found: Any = picture.side_data  # typed as a dictionary, but counted like a list
    return (found[number] for number in range(len(found)))


def _matrix(data: bytes) -> tuple[int, ...]:
    """Nine native-endian int32, as FFmpeg keeps them."""
    return tuple(memoryview(data).cast("i"))
