"""Demuxer: opens a file and reads its packets, skipping damaged ones."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Stream

from deepclarity.errors import SourceError
from deepclarity.stream import errors
from deepclarity.stream.packets import AnyPacket

from .reading.joined_parts import joined_parts
from .reading.late_tracks import is_incremental, probe_size, probing
from .reading.renumbered import merged

_PROTOCOLS = {"protocol_whitelist": "file,pipe"}  # a playlist inside a file must not access the network
_MAX_CONSECUTIVE_ERRORS = 100
"""After this many read errors in a row, the file counts as ended."""
_DEVICE_ERRORS = {errno.EIO, errno.ETIMEDOUT, errno.ENXIO, errno.ENODEV, errno.ESTALE, errno.EACCES, errno.EPERM}
"""Errors of a disk or network drive that has gone, as opposed to damage in the file."""


def open_input(path: Path, *, demuxer: str | None = None) -> InputContainer:
    """Open a video file; raises SourceError if FFmpeg cannot read it.

    Tracks that begin late in a transport stream, program stream or FLV are known from the beginning.

    `demuxer`: FFmpeg's name of the demuxer to use, instead of detecting it from the content.
    """

    def opened(options: Mapping[str, str]) -> InputContainer:
        return av.open(  # an absolute path, which FFmpeg cannot mistake for a protocol
            str(path.absolute()),
            "r",
            format=demuxer,
            container_options={**_whitelists(demuxer), **options},
            metadata_errors="replace",
        )

    try:
        container = opened({})
        if not is_incremental(container):
            return container
        stat = path.stat()
        size = probe_size(opened, (str(path.absolute()), stat.st_size, stat.st_mtime_ns))
        options = probing(size) if size else {}
        if size:
            container.close()
            container = opened(options)
        return merged(container, lambda more: opened({**options, **more}))
    except (av.error.FFmpegError, OSError, ValueError) as error:  # av.error.EOFError is not an OSError
        raise errors.open_failed(error, str(path)) from error


def _whitelists(demuxer: str | None) -> dict[str, str]:
    """FFmpeg options that limit what it may open: a given demuxer is the only one, for nested files too."""
    if demuxer is None:
        return _PROTOCOLS
    return {"protocol_whitelist": "file", "format_whitelist": demuxer}


def demux_packets(
    container: InputContainer,
    streams: list[Stream],
    *,
    on_damage: Callable[[], None],
    on_late_packet: Callable[[], None] = lambda: None,
    on_join: Callable[[], None] = lambda: None,
) -> Iterator[AnyPacket]:
    """Yield the packets of `streams` in file order; `on_damage` is called for each packet that cannot be read.

    `on_late_packet` is called for packets of tracks that the file did not announce at its beginning: transport streams
    and FLV may begin them anywhere. `on_join` is called where the times of a joined recording begin anew; they are
    shifted onto one timeline.

    Raises SourceError if the disk or network drive fails, which is neither damage nor the end of the file.
    """
    wanted, parts = {stream.index for stream in streams}, joined_parts(container, on_join=on_join)
    read = streams if parts is None else list(container.streams)
    packets = _readable(container, read, on_damage=on_damage, on_late_packet=on_late_packet)
    for packet in packets if parts is None else parts.placed(packets):
        if packet.stream_index in wanted:
            yield packet


def _readable(
    container: InputContainer,
    streams: list[Stream],
    *,
    on_damage: Callable[[], None],
    on_late_packet: Callable[[], None],
) -> Iterator[AnyPacket]:
    failures = 0
    while failures < _MAX_CONSECUTIVE_ERRORS:
        try:
            for packet in container.demux(streams):
                failures = 0
                if packet.size:
                    yield packet
            return
        except EOFError:
            return
        except IndexError:  # PyAV has no track for it: it begins in the middle, and nothing can decode or copy it
            on_late_packet()
        except av.error.FFmpegError as error:
            if error.errno in _DEVICE_ERRORS:
                raise SourceError(f"{container.name}: reading failed: {error.strerror}. Check the drive.") from error
            failures += 1
            on_damage()
