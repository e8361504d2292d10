"""Opens sources and sinks by what their address names: a video file, or a pipe."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from enum import Enum
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
from .pipe.sink import RAW_FORMATS, PipeSink, check_format
from .pipe.source import PipeSource

PIPE = Path("-")
"""Standard input or output."""


class Medium(Enum):
    """What an address names."""

    FILE = "file"
    PIPE = "pipe"


class MediaSource(Source, Protocol):
    """A source whose pixel format can be chosen; a context manager."""

    pixel_format: str
    """Planar format of the frames."""

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


def medium_of(path: Path) -> Medium:
    """What `path` names."""
    return Medium.PIPE if path == PIPE else Medium.FILE


def check_source(path: Path) -> None:
    """Raise SourceError if `path` cannot be read, before anything is opened."""
    if medium_of(path) is Medium.FILE:
        errors.check_readable(path)


def check_output(path: Path, *, source: Path, overwrite: bool, codec: str, pipe_format: str) -> None:
    """Raise UsageError if `path` cannot or must not be written; called before any work is done.

    `codec`: `auto`, or what `EncodeSettings` takes. `pipe_format`: format of the video on standard output.
    """
    if medium_of(path) is Medium.PIPE:
        check_format(pipe_format, codec)
        return
    check_writable(path, source=None if source == PIPE else source, overwrite=overwrite)
    container_of(path, "av1" if codec == "auto" else codec)


def sends_raw(path: Path, codec: str, *, crf: int | None, pipe_format: str) -> bool:
    """Whether pictures leave as they are, not encoded: through pipes, unless a codec or its quality is asked for."""
    if medium_of(path) is not Medium.PIPE or pipe_format not in RAW_FORMATS:
        return False
    return codec == "auto" and crf is None


def open_source(path: Path, *, demuxer: str | None = None) -> MediaSource:
    """Open a source; raises SourceError if there is no video in it. `demuxer`: see `open_input`."""
    return PipeSource() if medium_of(path) is Medium.PIPE else FileSource(path, demuxer=demuxer)


def open_passthrough(source: MediaSource, *, demuxer: str | None = None) -> Passthrough | None:
    """The tracks beside the video, to be copied."""
    if isinstance(source, PipeSource):
        return source.passthrough
    if isinstance(source, FileSource):
        return Passthrough(source.path, exclude=source.stream_index, demuxer=demuxer)
    return None


def open_sink(
    path: Path,
    *,
    info: VideoInfo,
    size: tuple[int, int],
    pixel_format: str,
    settings: EncodeSettings | None,
    pipe_format: str,
    passthrough: Passthrough | None,
    partial_output: PartialOutput | None,
    resume_token: ResumeToken | None,
) -> MediaSink:
    """Open a sink for frames of one size and format; the parameters are those of `FileSink` and `PipeSink`."""
    if medium_of(path) is Medium.PIPE:
        return PipeSink(
            pipe_format, info=info, size=size, pixel_format=pixel_format, settings=settings, passthrough=passthrough
        )
    if settings is None:
        raise UsageError(f"{path}: raw pictures are for pipes only. Name a codec.")
    return FileSink(
        path,
        info=info,
        size=size,
        pixel_format=pixel_format,
        settings=settings,
        passthrough=passthrough,
        partial_output=partial_output,
        resume_token=resume_token,
    )
