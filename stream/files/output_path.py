"""Output paths: containers by file ending, the partial file's name, and checks before any work."""

from __future__ import annotations

from pathlib import Path

from deepclarity.errors import DeepClarityError, UsageError

from . import resume

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""File ending → FFmpeg's muxer."""


def partial_path(path: Path) -> Path:
    """Where an output stands while it is not complete: `film.mp4` → `film.partial.mp4`."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")


def container_of(path: Path, codec: str) -> str:
    """FFmpeg's muxer for a file ending; UsageError where it is unknown or does not hold `codec`."""
    muxer = CONTAINERS.get(path.suffix.lower())
    if muxer is None:
        raise UsageError(f"{path}: cannot write '{path.suffix}' files. Use one of {', '.join(CONTAINERS)}.")
    if muxer == "webm" and codec != "av1":
        raise UsageError(f"{path}: webm does not hold {codec}. Add --codec av1, or choose an .mkv output.")
    return muxer


def check_writable(path: Path, *, source: Path | None, overwrite: bool) -> None:
    """Raise UsageError or OutputError before any work is done, where `path` must not or cannot be written."""
    try:
        _check_names(path, source=source, overwrite=overwrite)
        trial = partial_path(path)
        existed = trial.exists()
        trial.open("ab").close()
        if not existed:
            trial.unlink()
    except OSError as error:
        if isinstance(error, DeepClarityError):
            raise
        raise UsageError(f"{path}: cannot be written there ({error.strerror}). Choose another place.") from error


def _check_names(path: Path, *, source: Path | None, overwrite: bool) -> None:
    partial = partial_path(path)
    if path.is_dir():
        raise UsageError(f"{path}: a directory. Name a file with -o.")
    for ours in (path, partial, *resume.files_beside(partial)):
        if source is not None and ours.exists() and source.exists() and ours.samefile(source):
            what = "the output is the input" if ours == path else "its incomplete form would overwrite the input"
            raise UsageError(f"{path}: {what}. Choose another name with -o.")
    if path.exists() and not overwrite:
        raise UsageError(f"{path}: already exists. Add -y to replace it, or choose another name with -o.")
    if partial.exists() and not overwrite and not resume.is_ours(partial):
        raise UsageError(f"{partial}: exists and was not made by an interrupted run. Move it, or add -y.")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: no such folder. Create it, or choose another place with -o.")
