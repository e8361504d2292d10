"""Output paths: container by file extension, name of the partial file, and checks before any work is done."""

from __future__ import annotations

from pathlib import Path

from deepclarity.errors import DeepClarityError, UsageError

from . import resume

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""File extension → FFmpeg's muxer."""


def partial_path(path: Path) -> Path:
    """Path of an output that is not complete yet: `film.mp4` → `film.partial.mp4`."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")


def container_of(path: Path, codec: str) -> str:
    """FFmpeg's muxer for a file extension; raises UsageError if it is unknown or does not support `codec`."""
    muxer = CONTAINERS.get(path.suffix.lower())
    if muxer is None:
        raise UsageError(f"{path}: cannot write '{path.suffix}' files. Use one of {', '.join(CONTAINERS)}.")
    if muxer == "webm" and codec not in ("av1", "vp9"):
        raise UsageError(f"{path}: webm does not support {codec}. Add --codec av1, or choose an .mkv output.")
    if (muxer, codec) in (("mp4", "prores"), ("mov", "vp9")):
        raise UsageError(f"{path}: {muxer} does not support {codec}. Choose an .mkv output.")
    return muxer


def check_writable(path: Path, *, source: Path | None, overwrite: bool) -> None:
    """Raise UsageError if `path` cannot or must not be written; called before any work is done.

    `source`: the input file, which must not be overwritten. `overwrite`: whether an existing output may be replaced.
    """
    try:
        _check_names(path, source=source, overwrite=overwrite)
        partial = partial_path(path)
        existed = partial.exists()
        partial.open("ab").close()
        if not existed:
            partial.unlink()
    except OSError as error:
        if isinstance(error, DeepClarityError):
            raise
        raise UsageError(f"{path}: cannot be written ({error.strerror}). Choose another folder.") from error


def _check_names(path: Path, *, source: Path | None, overwrite: bool) -> None:
    partial = partial_path(path)
    if path.is_dir():
        raise UsageError(f"{path}: a directory. Name a file with -o.")
    for candidate in (path, partial, *resume.companion_files(partial)):
        if source is not None and candidate.exists() and source.exists() and candidate.samefile(source):
            what = "the output is the input" if candidate == path else "its partial file would overwrite the input"
            raise UsageError(f"{path}: {what}. Choose another name with -o.")
    if path.exists() and not overwrite:
        raise UsageError(f"{path}: already exists. Add -y to replace it, or choose another name with -o.")
    if partial.exists() and not overwrite and not resume.has_resume_token(partial):
        raise UsageError(f"{partial}: already exists and has no resume token. Move it, or add -y to replace it.")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: no such folder. Create it, or choose another one with -o.")
