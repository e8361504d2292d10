"""Demuxes a file into packets and skips damaged ones."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Stream

from deepclarity.errors import SourceError
from deepclarity.stream import errors
from deepclarity.stream.packets import AnyPacket

_PROTOCOLS = {"protocol_whitelist": "file,pipe"}  # a playlist inside a file must not reach for the network
_PATIENCE = 100
"""Errors in a row after which nothing more is expected of a file."""
_DEVICE = {errno.EIO, errno.ETIMEDOUT, errno.ENXIO, errno.ENODEV, errno.ESTALE, errno.EACCES, errno.EPERM}
"""What a disk or network drive says when it is gone: no damage of the file's."""


def open_input(path: Path, *, demuxer: str | None = None) -> InputContainer:
    """Open a file by its absolute path, which FFmpeg cannot take for a protocol; SourceError where it is no video.

    `demuxer`: FFmpeg's name of the one that must read it, instead of whichever its content asks for.
    """
    try:
        return av.open(
            str(path.absolute()), "r", format=demuxer, container_options=_allowed(demuxer), metadata_errors="replace"
        )
    except (av.error.FFmpegError, OSError, ValueError) as error:  # an end of file is no OSError
        raise errors.open_failed(error, str(path)) from error


def _allowed(demuxer: str | None) -> dict[str, str]:
    """What FFmpeg may open: with a demuxer pinned, that one alone, for whatever the file holds or refers to."""
    if demuxer is None:
        return _PROTOCOLS
    return {"protocol_whitelist": "file", "format_whitelist": demuxer}


def packets_of(container: InputContainer, streams: list[Stream], *, damaged: Callable[[], None]) -> Iterator[AnyPacket]:
    """The packets of `streams` in the file's order; `damaged` is called for what cannot be read.

    Raises SourceError when the disk or the network drive fails: that is not the file's fault, nor its end.
    """
    failures = 0
    while failures < _PATIENCE:
        try:
            for packet in container.demux(streams):
                failures = 0
                if packet.size:
                    yield packet
            return
        except EOFError:
            return
        except av.error.FFmpegError as error:
            if error.errno in _DEVICE:
                raise SourceError(f"{container.name}: reading failed: {error.strerror}. Check the drive.") from error
            failures += 1
            damaged()
