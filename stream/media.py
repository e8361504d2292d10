"""Opens sources and sinks by what their path names: a video file, a pipe, numbered pictures, an animated picture."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from deepclarity.errors import UsageError

from . import errors
from .files.encode import EncodeSettings
from .files.output_path import check_writable, container_of
from .files.passthrough import Passthrough
from .files.resume import PartialOutput, ResumeToken
from .files.sink import FileSink, Sink
from .files.source import FileSource, Source
from .info import VideoInfo
from .interlaced.deinterlace import Deinterlacer
from .interlaced.modes import Deinterlacing
from .pictures.animation import Animation
from .pictures.numbered import NumberedPictures, check_pattern_writable, is_pattern
from .pictures.sinks import AnimationSink, NumberedSink
from .pictures.sniff import ANIMATION_SUFFIXES, is_animation
from .pictures.source import PictureSource
from .pipe.sink import RAW_FORMATS, PipeSink, check_format
from .pipe.source import PipeSource
from .segments.track import TrackWriter

PIPE = Path("-")
"""Standard input or output."""


class Medium(Enum):
    """What a path names."""

    FILE = "file"
    PIPE = "pipe"
    NUMBERED = "numbered pictures"
    ANIMATION = "animated picture"

    @property
    def is_pictures(self) -> bool:
        """Whether it holds R'G'B' pictures, which no video encoder writes."""
        return self in (Medium.NUMBERED, Medium.ANIMATION)


class MediaSource(Source, Protocol):
    """A source whose pixel format can be chosen; a context manager."""

    pixel_format: str
    """Planar format of the frames."""
    other_videos: list[str]
    """A description of each video track that is not decoded."""

    @property
    def lost(self) -> list[str]:
        """What the video has, as far as it was read, that the output will not have."""
        ...

    deinterlacer: Deinterlacer | None
    """What deinterlaces its pictures, once `deinterlace` was called."""

    def deinterlace(self, setting: Deinterlacing) -> None:
        """Deinterlace pictures from here on; call it before the iteration. Sources that never are do nothing."""
        ...

    def choose_pixel_format(self, encoder: str | None) -> None:
        """Convert frames to a pixel format that `encoder` (FFmpeg's name) supports; None: to the nearest planar one."""
        ...

    def interrupt(self) -> None:
        """End a read that waits for data: called from another thread when the run is abandoned."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class MediaSink(Sink, Protocol):
    """A sink that is a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@runtime_checkable
class Interruptible(Protocol):
    """A source whose reads may wait for data."""

    def interrupt(self) -> None:
        """End a read that waits; called from another thread."""
        ...


@contextlib.contextmanager
def interrupted_by_failure(source: Source) -> Iterator[None]:
    """End the source's read if the block fails: the thread that waits for data in it could not be joined."""
    try:
        yield
    except BaseException:
        if isinstance(source, Interruptible):
            source.interrupt()
        raise


def source_medium(path: Path) -> Medium:
    """What `path` names as a source; animated pictures are known by their content."""
    if path == PIPE:
        return Medium.PIPE
    if is_pattern(path) and not path.exists():
        return Medium.NUMBERED
    return Medium.ANIMATION if is_animation(path) else Medium.FILE


def output_medium(path: Path) -> Medium:
    """What `path` names as an output, by its name."""
    if path == PIPE:
        return Medium.PIPE
    if is_pattern(path):
        return Medium.NUMBERED
    return Medium.ANIMATION if path.suffix.lower() in ANIMATION_SUFFIXES else Medium.FILE


def check_source(path: Path, *, rate: Fraction | None = None) -> None:
    """Raise an error if `path` cannot be read, before anything is opened. `rate`: see `open_source`."""
    medium = source_medium(path)
    if medium in (Medium.FILE, Medium.ANIMATION):
        errors.check_readable(path)
    if rate is not None and medium is not Medium.NUMBERED:
        raise UsageError(f"{path}: --fps is for numbered pictures, such as frames/%05d.png. Leave it out.")


def check_output(path: Path, *, source: Path, overwrite: bool, codec: str, pipe_format: str) -> None:
    """Raise UsageError if `path` cannot or must not be written; called before any work is done.

    `codec`: `auto`, `raw`, or what `EncodeSettings` takes. `pipe_format`: format of the video on standard output.
    """
    medium = output_medium(path)
    if medium is Medium.PIPE:
        check_format(pipe_format, codec)
        return
    if medium is Medium.NUMBERED:
        check_pattern_writable(path, source=source, overwrite=overwrite)
        return
    check_writable(path, source=None if source == PIPE else source, overwrite=overwrite)
    if medium is Medium.FILE:
        container_of(path, "av1" if codec == "auto" else codec)
    elif path.suffix.lower() == ".png" and source_medium(source) is not Medium.ANIMATION:
        name = path.with_name(f"{path.stem}-%05d.png")
        raise UsageError(f"{path}: one picture cannot hold a video. Use {name} for numbered pictures, or .apng.")


def sends_raw(path: Path, codec: str, *, crf: int | None, pipe_format: str) -> bool:
    """Whether pictures leave as they are, not encoded as video: into pictures, and, unless asked for, through pipes."""
    medium = output_medium(path)
    if medium is not Medium.PIPE or pipe_format not in RAW_FORMATS:
        return medium.is_pictures
    return codec == "auto" and crf is None


def open_source(
    path: Path,
    *,
    output: Path | None = None,
    demuxer: str | None = None,
    rate: Fraction | None = None,
    track: int | None = None,
) -> MediaSource:
    """Open a source; raises SourceError if there is no video in it.

    `output`: where the frames go, on which their form depends. `demuxer`: see `open_input`; FFmpeg then reads animated
    pictures, too. `rate`: of numbered pictures, per second; None: 25. `track`: index of the video track.
    """
    medium = source_medium(path)
    if medium is Medium.PIPE:
        return PipeSource(track=track)
    for_pictures = output is None or output_medium(output).is_pictures
    if medium is Medium.NUMBERED:
        return PictureSource(NumberedPictures(path, rate=rate), for_pictures=for_pictures)
    if medium is Medium.ANIMATION and demuxer is None:
        return PictureSource(Animation(path), for_pictures=for_pictures)
    return FileSource(path, demuxer=demuxer, track=track)


def open_passthrough(source: MediaSource, *, demuxer: str | None = None) -> Passthrough | None:
    """The tracks beside the video, to be copied."""
    if isinstance(source, PipeSource):
        return source.passthrough
    if isinstance(source, FileSource):
        return Passthrough(source.path, exclude=source.stream_index, demuxer=demuxer)
    return None


@dataclass(frozen=True, slots=True)
class SinkOptions:
    """What a sink is opened with; each kind of sink takes what it needs."""

    info: VideoInfo
    """Properties of the output."""
    size: tuple[int, int]
    """(width, height) in pixels."""
    pixel_format: str
    """Planar format of all frames."""
    settings: EncodeSettings | None
    """Encoder settings; None if pictures are not encoded as video."""
    pipe_format: str = "nut"
    passthrough: Passthrough | None = None
    partial_output: PartialOutput | None = None
    resume_token: ResumeToken | None = None
    track: TrackWriter | None = None
    """Makes the packets of the video track of a file, instead of an encoder."""


def open_sink(path: Path, options: SinkOptions, *, source: MediaSource) -> MediaSink:
    """Open a sink for frames of one size and format, which come from `source`."""
    medium = output_medium(path)
    info, size, pixel_format = options.info, options.size, options.pixel_format
    if medium.is_pictures:
        return _open_picture_sink(path, options, source)
    if medium is Medium.PIPE:
        return PipeSink(
            options.pipe_format,
            info=info,
            size=size,
            pixel_format=pixel_format,
            settings=options.settings,
            passthrough=options.passthrough,
        )
    assert options.settings is not None
    return FileSink(
        path,
        info=info,
        size=size,
        pixel_format=pixel_format,
        settings=options.settings,
        passthrough=options.passthrough,
        partial_output=options.partial_output,
        resume_token=options.resume_token,
        track=options.track,
    )


def _open_picture_sink(path: Path, options: SinkOptions, source: MediaSource) -> MediaSink:
    pictures = source.pictures if isinstance(source, PictureSource) else None
    profile = source.profile if isinstance(source, PictureSource) else None
    if output_medium(path) is Medium.NUMBERED:
        first = pictures.first_number if isinstance(pictures, NumberedPictures) else None
        sink: MediaSink = NumberedSink(
            path, info=options.info, pixel_format=options.pixel_format, first_number=first, profile=profile
        )
    else:
        animation = pictures if isinstance(pictures, Animation) else None
        sink = AnimationSink(
            path,
            info=options.info,
            size=options.size,
            pixel_format=options.pixel_format,
            loops=animation.loops if animation else 0,
            profile=profile,
            own_delays=animation is not None,
            keep_exact=animation is not None and not animation.is_lossy,
        )
    if options.passthrough is not None and (tracks := options.passthrough.track_names()):
        sink.warnings.append(f"left out: {', '.join(tracks)}; pictures have no other tracks")
    return sink
