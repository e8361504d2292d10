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
from deepclarity.stream.transparency import KEPT, has_alpha, keeps_alpha

from .coding import EXPORTING
from .demux import open_input
from .reading.extras import TRANSPARENCY, display_matrix, extras_of_track
from .reading.packet_content import PacketContent
from .reading.pictures import PictureReader
from .reading.side_data import side_data_of
from .reading.timed import TimedPictures, deinterlaced, frame_of
from .reading.tracks import other_videos, video_track


class Source(Protocol):
    """Protocol of a source of frames, in presentation order."""

    info: VideoInfo
    when_full: WhenFull
    """What to do with frames that the pipeline is too slow for."""
    damaged: int
    """Packets that could not be decoded so far; at the end also frames that the index lists but the file lacks."""

    @property
    def retimed(self) -> int:
        """Frames whose timestamp did not increase and was corrected."""
        ...

    @property
    def busy_s(self) -> float:
        """Seconds spent reading and decoding."""
        ...

    def __iter__(self) -> Iterator[Frame]: ...


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
            self._extras = list(dict.fromkeys(extras_of_track(self._stream, self._first)))
            self._encoder: str | None = None
            self.pixel_format = planes.planar_format(self._first.format.name)
            self.info = replace(
                describe(self.path, self._container, self._stream, self._first),
                transparent=has_alpha(self._first.format),
            )
            self.deinterlacer: Deinterlacer | None = None
            self._decoded = TimedPictures(
                self._all_pictures(),
                self.info,
                codec=self._codec,
                damage=self._damage,
                decoding_order_only=self._container.format.name == "avi",
            )
            self._timed = iter(self._decoded)
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
        self._encoder = encoder
        if encoder is not None and keeps_alpha(self.info, encoder):
            self.pixel_format = KEPT[encoder]
        else:
            self.pixel_format = planes.planar_format(self.info.pixel_format, encoder=encoder)

    @property
    def stream_index(self) -> int:
        """Index of the decoded stream in the file."""
        return self._stream.index

    @property
    def retimed(self) -> int:
        """Frames whose timestamp did not increase and was corrected, and joins of recordings."""
        return self._decoded.retimed + self._joins

    @property
    def restarted(self) -> bool:
        """Whether damage was met, so that slice threads took over."""
        return self._reader.restarted

    @property
    def lost(self) -> list[str]:
        """What the video has, as far as it was read, that the output will not have."""
        kept = (TRANSPARENCY,) if keeps_alpha(self.info, self._encoder) else ()
        lost = dict.fromkeys([*self._extras, *self._decoded.lost(self._encoder)])
        return [each for each in lost if each not in kept]

    @property
    def busy_s(self) -> float:
        """Seconds spent reading and decoding."""
        return self._reader.busy_s + self._converting_s

    def interrupt(self) -> None:
        """Nothing to do: reading a file does not wait."""

    def deinterlace(self, setting: Deinterlacing) -> None:
        """Deinterlace pictures from here on; call it before the iteration. `info` becomes that of the result."""
        if setting.is_active:
            self.deinterlacer, self.info = deinterlaced(self._timed, setting, self.info)
            self._timed = iter(self.deinterlacer)

    def __iter__(self) -> Iterator[Frame]:
        transparent = keeps_alpha(self.info, self._encoder)
        for index, timed in enumerate(self._timed):
            started = time.perf_counter()
            frame = frame_of(
                timed, index=index, info=self.info, pixel_format=self.pixel_format, transparent=transparent
            )
            self._converting_s += time.perf_counter() - started
            yield frame
        self.damaged += self._missing_packets()

    def _all_pictures(self) -> Iterator[tuple[VideoFrame, PacketContent]]:
        yield self._first, self._reader.content
        del self._first
        for picture in self._pictures:
            yield picture, self._reader.content

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
