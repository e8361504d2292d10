"""Translates FFmpeg and OS errors into DeepClarity errors, each with the file, the reason and a remedy."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import av

from deepclarity.errors import DeepClarityError, OutputError, SourceError, StageError

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:/")

_DISK = {
    errno.ENOSPC: "no space left on the disk; free some, or choose another place with -o",
    errno.EDQUOT: "the disk quota is used up; free some, or choose another place with -o",
    errno.EROFS: "the file system is read-only; choose another place with -o",
    errno.EACCES: "no permission to write there; choose another place with -o",
    errno.EPERM: "no permission to write there; choose another place with -o",
    errno.EFBIG: "the file system does not take a file that large; choose another place with -o",
    errno.EIO: "the disk reported an error; check it, or choose another place with -o",
}


def check_readable(path: Path) -> None:
    """Raise SourceError if `path` is missing, a directory, a device, empty or not readable, before FFmpeg opens it."""
    if _URL.match(str(path)):
        raise SourceError(f"{path}: an address, not a file. Save the stream to a file first.")
    try:
        if path.is_dir():
            raise SourceError(f"{path}: a directory, not a file. Name a file in it.")
        if not path.exists():
            raise SourceError(f"{path}: no such file. Check the name.")
        if not path.is_file():
            raise SourceError(f"{path}: a pipe or device: it cannot be read twice. Save it to a file first.")
        if path.stat().st_size == 0:
            raise SourceError(f"{path}: the file is empty (0 bytes). Copy or record it again.")
        path.open("rb").close()
    except PermissionError as error:
        raise SourceError(f"{path}: no permission to read it. Check its access rights.") from error
    except OSError as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"{path}: cannot be read ({error.strerror}). Check the name.") from error


def open_failed(error: Exception, name: str) -> SourceError:
    """The SourceError for a file that FFmpeg could not open."""
    text = str(error).lower()
    if "moov" in text or _index_missing(name):
        return SourceError(f"{name}: the index is missing (the recording was cut off). Repair or record it again.")
    if isinstance(error, av.error.InvalidDataError | av.error.EOFError):
        return SourceError(f"{name}: not a video that FFmpeg can read. Check that the file is complete.")
    reason = getattr(error, "strerror", None) or str(error)
    return SourceError(f"{name}: cannot be opened: {reason}.")


def _index_missing(name: str) -> bool:
    """Whether this is an ISO base media file (starts with `ftyp`) without a reachable `moov` box."""
    try:
        with Path(name).open("rb") as file:
            position, found_ftyp = 0, False
            for _ in range(64):
                head = file.read(16)
                if len(head) < 8:
                    return found_ftyp
                size, kind = int.from_bytes(head[:4], "big"), head[4:8]
                if kind == b"moov":
                    return False
                found_ftyp = found_ftyp or kind == b"ftyp"
                if size == 1 and len(head) == 16:
                    size = int.from_bytes(head[8:16], "big")
                if not found_ftyp or size < 8:
                    return found_ftyp and kind == b"mdat"
                position += size
                file.seek(position)
    except OSError:
        pass
    return False


def write_failed(error: Exception, path: Path) -> DeepClarityError:
    """The error for a failed write: OutputError if the disk failed, StageError if the encoder or muxer did."""
    number = getattr(error, "errno", None)
    # FFmpeg muxers return a plain -1 that equals EPERM but has nothing to do with permissions.
    if number in _DISK and not (number == errno.EPERM and isinstance(error, av.error.FFmpegError)):
        return OutputError(f"{path}: {_DISK[number]}.")
    if isinstance(error, OSError) and not isinstance(error, av.error.FFmpegError):
        return OutputError(f"{path}: cannot be written: {error.strerror or error}.")
    reason = getattr(error, "strerror", None) or str(error)
    return StageError(f"{path}: the encoder or muxer failed: {reason}. Try another --codec or container.")
