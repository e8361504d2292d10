"""File source: decodes packet by packet, so that damage costs only the damaged frames."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol

import av
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from deepclarity.errors import SourceError, hide_secrets
from deepclarity.stream import errors, planes
from deepclarity.stream.damage import DamageTracker
from deepclarity.stream.frame import Frame
from deepclarity.stream.handover import WhenFull
from deepclarity.stream.info import VideoInfo
from deepclarity.stream.interlaced.deinterlace import Deinterlacer
from deepclarity.stream.interlaced.modes import Deinterlacing
from deepclarity.stream.interlaced.picture import TimedPicture

from .coding import EXPORTING, coding_of
from .demux import open_input
from .reading.best_effort import BestEffortTimestamps
from .reading.extras import display_matrix, extras_of, extras_of_track
from .reading.pictures import PictureReader
from .reading.side_data import side_data_of
from .reading.tracks import other_videos, video_track
from .timestamps import MonotonicTimestamps


class Source(Protocol):
    """Protocol of a source of frames, in presentation order."""

    info: VideoInfo
    when_full: WhenFull
    """What to do with frames that the pipeline is too slow for."""
    damaged: int
    """Packets that could not be decoded so far; at the end also frames that the index lists but the file lacks."""
    retimed: int
    """Frames whose timestamp did not increase and was corrected."""

    @property
    def busy_s(self) -> float:
        """Seconds spent reading and decoding."""
        ...

    def __iter__(self) -> Iterator[Frame]: ...


_EXTRAS_FIRST, _EXTRAS_EVERY = 50, 25
"""Pictures of which the side data are looked at: the first ones, and then some."""


class FileSource:
    """Decodes a video file: `with FileSource(path) as source: for frame in source: …`.

    Raises SourceError if the file cannot be read or no frame of it can be decoded.
    """

    when_full = WhenFull.WAIT

    def __init__(self, path: Path | str, *, demuxer: str | None = None, track: int | None = None) -> None:
        """Open `path` and decode its first picture.

        `demuxer`: see `open_input`; `track`: index of the video track, None for the one that is the video.
        """
        self.path = Path(path)
        self.damaged = 0
        self.retimed = 0
        self._converting_s = 0.0
        self._joins = 0
        errors.check_readable(self.path)
        self._container = open_input(self.path, demuxer=demuxer)
        try:
            self._stream = video_track(self._container, str(self.path), track=track)
            self.other_videos = other_videos(self._container, self._stream)
            """A description of each video track that is not decoded."""
            self._indexed_packets = len(self._stream.index_entries)
            self._codec = self._stream.codec_context.name
            self._damage = DamageTracker()
            self._reader = PictureReader(
                self._container,
                self._stream,
                lambda: open_input(self.path, demuxer=demuxer),
                options={"export_side_data": "venc_params"} if self._codec in EXPORTING else {},
                on_damage=self._count_damage,
                on_restart=self._forget_damage,
                on_join=self._count_join,
            )
            self._pictures = self._reader.pictures()
            self._first = self._first_picture()
            self._extras = dict.fromkeys(extras_of_track(self._stream, self._first))
            self.pixel_format = planes.planar_format(self._first.format.name)
            self.info = describe(self.path, self._container, self._stream, self._first)
            self.deinterlacer: Deinterlacer | None = None
            self._timed = self._timed_pictures()
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> FileSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pictures.close()
        self._reader.close()
        self._container.close()

    def choose_pixel_format(self, encoder: str | None) -> None:
        """Convert frames to a pixel format that `encoder` (FFmpeg's name) supports; None: of any encoder."""
        self.pixel_format = planes.planar_format(self.info.pixel_format, encoder=encoder)

    @property
    def stream_index(self) -> int:
        """Index of the decoded stream in the file."""
        return self._stream.index

    @property
    def restarted(self) -> bool:
        """Whether damage was met, so that slice threads took over."""
        return self._reader.restarted

    @property
    def lost(self) -> list[str]:
        """What the video has, as far as it was read, that the output will not have."""
        return list(self._extras)

    @property
    def busy_s(self) -> float:
        """Seconds spent reading and decoding."""
        return self._reader.busy_s + self._converting_s

    def interrupt(self) -> None:
        """Nothing to do: reading a file does not wait."""

    def deinterlace(self, setting: Deinterlacing) -> None:
        """Deinterlace pictures from here on; call it before the iteration. `info` becomes that of the result."""
        if not setting.is_active:
            return
        before = self.info
        self.deinterlacer = Deinterlacer(self._timed, setting, rate=before.rate, time_base=before.time_base)
        self._timed = iter(self.deinterlacer)
        rate, frames = self.deinterlacer.rate, before.frames
        if rate and before.rate and frames:
            frames = round(frames * rate / before.rate)
        self.info = replace(
            before,
            time_base=self.deinterlacer.time_base,
            rate=rate,
            frames=frames,
            interlaced=before.interlaced and setting.keep_pictures,
        )

    def __iter__(self) -> Iterator[Frame]:
        for index, timed in enumerate(self._timed):
            started = time.perf_counter()
            picture = planes.to_planar(timed.picture, self.pixel_format)
            kept = picture if timed.original is None else planes.to_planar(timed.original, self.pixel_format)
            frame = Frame(
                planes=planes.planes_of(picture),
                index=index,
                pts=timed.pts,
                time_base=self.info.time_base,
                duration=timed.duration,
                depth=planes.depth_of(self.pixel_format),
                subsampling=planes.subsampling_of(self.pixel_format),
                full_range=self.info.colour.range == 2,
                picture=kept,
                intact=timed.intact,
                coding=timed.coding,
                deinterlaced=timed.deinterlaced is not None,
                field_order=timed.order,
            )
            self._converting_s += time.perf_counter() - started
            yield frame
        self.damaged += self._missing_packets()

    def _timed_pictures(self) -> Iterator[TimedPicture]:
        timestamps = _FrameTimestamps(self.info, decoding_order_only=self._container.format.name == "avi")
        coding = None
        for index, picture in enumerate(self._all_pictures()):
            pts = timestamps.assign(picture)
            self.retimed = timestamps.moved + self._joins
            if index < _EXTRAS_FIRST or index % _EXTRAS_EVERY == 0:
                self._extras.update(dict.fromkeys(extras_of(picture)))
            intact = self._damage.is_intact(key=picture.key_frame, corrupt=picture.is_corrupt)
            coding = coding_of(picture, self._codec, coding)
            yield TimedPicture(picture, pts, picture.duration or 0, intact, coding)

    def _all_pictures(self) -> Iterator[VideoFrame]:
        yield self._first
        del self._first
        yield from self._pictures

    def _count_damage(self) -> None:
        self.damaged += 1
        self._damage.lost()

    def _forget_damage(self) -> None:
        """Packets are read again from the beginning: damage and joins will be counted again."""
        self.damaged = self._joins = 0

    def _count_join(self) -> None:
        self._joins += 1

    def _first_picture(self) -> VideoFrame:
        for picture in self._pictures:
            return picture
        raise SourceError(f"{self.path}: no frame of it can be decoded. Check that the file is complete.")

    def _missing_packets(self) -> int:
        """Packets that an ISO file's index lists but that a truncated file lacks."""
        return max(0, self._indexed_packets - self._reader.packets) if "mp4" in self._container.format.name else 0


class _FrameTimestamps:
    """Assigns strictly increasing PTS to pictures."""

    def __init__(self, info: VideoInfo, *, decoding_order_only: bool) -> None:
        rate = info.rate or Fraction(25)
        step = max(1, round(1 / (rate * info.time_base)))
        self._step = step
        self._timestamps = MonotonicTimestamps(step=step)
        self._best_effort = BestEffortTimestamps(step=step, decoding_order_only=decoding_order_only)

    @property
    def moved(self) -> int:
        return self._timestamps.moved

    def assign(self, picture: VideoFrame) -> int:
        pts = self._best_effort.of(picture)
        if pts is None:  # raw streams have no timestamps: use the nominal rate
            last = self._timestamps.last
            pts = 0 if last is None else last + self._step
        return self._timestamps.place(pts)


def describe(path: Path, container: InputContainer, stream: VideoStream, first: VideoFrame) -> VideoInfo:
    """The properties of a video: those of its track, and of the first picture that was decoded."""
    side_data = {data.type: bytes(data) for data in side_data_of(first)}
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
        display_matrix=display_matrix(first),
        colour=planes.colour_of(first),
        mastering=side_data.get(SideDataType.MASTERING_DISPLAY_METADATA),
        light_level=side_data.get(SideDataType.CONTENT_LIGHT_LEVEL),
        interlaced=first.interlaced_frame,
    )
