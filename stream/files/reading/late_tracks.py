"""Finds tracks that begin late in a file whose tracks FFmpeg learns only by reading it.

Transport streams, program streams and FLV have no list of tracks that holds for the entire file. FFmpeg reads 5 MB or
a few seconds to find them; subtitles of a DVD, a second language or the sound of a broadcast often begin later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream

Opener = Callable[[Mapping[str, str]], InputContainer]
"""Opens the file with these options of FFmpeg."""

_FORMATS = frozenset({"mpegts", "mpeg", "flv", "live_flv"})
_LIMIT = 128_000_000
"""Bytes at the beginning in which tracks are looked for: FFmpeg keeps them in memory while it does."""
_MARGIN = 2_000_000
"""Bytes after the first packet of a track that suffice to learn its properties."""
_MAX_TRIES = 8
_MAX_KNOWN = 64

_known: dict[tuple[str, int, int], int] = {}


def is_incremental(container: InputContainer) -> bool:
    """Whether tracks may begin anywhere in a file of this format."""
    return container.format.name in _FORMATS


def probing(size: int) -> dict[str, str]:
    """FFmpeg's options to look for tracks in the first `size` bytes."""
    return {"probesize": str(size), "analyzeduration": str(2**62)}


def probe_size(opened: Opener, key: tuple[str, int, int]) -> int:
    """The number of bytes after which all tracks have begun that begin near; 0 if FFmpeg's own number suffices.

    `key`: path, size and time of change of the file, by which the answer is remembered.
    """
    if key not in _known:
        while len(_known) >= _MAX_KNOWN:
            del _known[next(iter(_known))]
        _known[key] = _searched(opened)
    return _known[key]


def _searched(opened: Opener) -> int:
    size, tried, known = 0, 0, -1
    for _ in range(_MAX_TRIES):
        with opened(probing(tried) if tried else {}) as container:
            complete = sum(map(is_complete, container.streams))
            if complete <= known:  # the track is announced in the middle only: FFmpeg does not look for it there
                break
            size, known, needed = tried, complete, _first_unknown(container)
        if needed is None:
            break
        tried = needed + _MARGIN
    return size


def _first_unknown(container: InputContainer) -> int | None:
    """Where a track begins that is not known so far, or so little that it cannot be copied; None if there is none."""
    position, incomplete = 0, {stream.index for stream in container.streams if not is_complete(stream)}
    found = None
    while position < _LIMIT:
        try:
            for packet in container.demux():
                position = max(position, packet.pos or 0)
                if packet.size and packet.stream_index in incomplete:
                    incomplete.discard(packet.stream_index)
                    found = position
                if position >= _LIMIT:
                    break
            return found
        except IndexError:  # PyAV has no track for this packet
            return position
        except EOFError:
            return found
        except av.error.FFmpegError:
            position += 1  # so that a file of damage alone ends
    return found


def is_complete(stream: Stream) -> bool:
    """Whether enough is known of a track to copy or decode it, or never will be: FFmpeg does not know its codec."""
    if isinstance(stream, AudioStream):
        return stream.codec_context is None or bool(stream.codec_context.sample_rate)
    if isinstance(stream, VideoStream):
        return stream.codec_context is None or bool(stream.width)
    return True


def picture_size(stream: VideoStream) -> tuple[int, int]:
    """(width, height) of a track as announced; zeros if FFmpeg does not know its codec."""
    return (0, 0) if stream.codec_context is None else (stream.width, stream.height)
