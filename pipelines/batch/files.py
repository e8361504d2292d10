"""Finds the files of a batch, and where each is to be written."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepclarity.errors import SourceError, UsageError
from deepclarity.pipelines.detect_file import VIDEOS
from deepclarity.stream.files.output_path import CONTAINERS
from deepclarity.stream.files.still import IMAGE_SUFFIXES
from deepclarity.stream.pictures.sniff import ANIMATION_SUFFIXES, is_animation

LISTS = frozenset({".lst", ".m3u", ".m3u8", ".txt"})
"""File extensions of lists: text files in UTF-8 with one path a line."""
STANDARD_INPUT = Path("-")
"""Stands for a list on standard input."""


@dataclass(frozen=True, slots=True)
class BatchFile:
    """One file of a batch."""

    source: Path
    output: Path
    """Where to write it, below the output folder."""

    @property
    def is_picture(self) -> bool:
        """Whether it is a still picture."""
        return self.source.suffix.lower() in IMAGE_SUFFIXES and not is_animation(self.source)


def find_files(inputs: Sequence[Path], output_dir: Path) -> list[BatchFile]:
    """The files of all `inputs` in order: folders, searched recursively, lists, and files.

    The tree of a folder is mirrored below `output_dir`; if there are several inputs, each folder below its own name.
    The output folder itself and hidden files are left out. Raises SourceError if an input or a list is missing or
    unreadable, UsageError if two files would be written to one path.
    """
    outputs: dict[Path, Path] = {}
    for each in inputs:
        if each.resolve() == output_dir.resolve():
            raise UsageError(f"{output_dir}: the output folder is the input. Choose another folder with -o.")
        prefix = Path(each.resolve().name) if len(inputs) > 1 and each.is_dir() else Path()
        for source, relative in _files_of(each, output_dir.resolve()):
            output = output_dir / prefix / output_name(relative)
            other = outputs.setdefault(output, source)
            if other != source and not _same(other, source):
                raise UsageError(f"{output}: {other} and {source} would both be written to it. Repair one separately.")
    return [BatchFile(source, output) for output, source in outputs.items()]


def output_name(relative: Path) -> Path:
    """The name of the output: the same, and `.mkv` appended if that kind of file cannot be written."""
    suffix = relative.suffix.lower()
    if suffix in CONTAINERS or suffix in IMAGE_SUFFIXES or suffix in ANIMATION_SUFFIXES:
        return relative
    return relative.with_name(f"{relative.name}.mkv")


def _files_of(given: Path, output_dir: Path) -> Iterator[tuple[Path, Path]]:
    """The files of one input, each with its path relative to the input."""
    if given.is_dir():
        for path in _files_below(given, output_dir):
            yield path, path.relative_to(given)
    elif given == STANDARD_INPUT or given.suffix.lower() in LISTS:
        yield from _listed(given)
    elif given.exists():
        yield given, Path(given.name)
    else:
        raise SourceError(f"{given}: no such file or folder. Check the name.")


def _files_below(folder: Path, left_out: Path) -> Iterator[Path]:
    """All pictures and videos below `folder`, sorted; symbolic links to folders are not followed."""
    try:
        with os.scandir(folder) as entries:
            listed = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda e: e.name)
    except OSError as error:
        raise SourceError(f"{folder}: cannot be read ({error.strerror}). Check its access rights.") from error
    for entry in listed:
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            if path.resolve() != left_out:
                yield from _files_below(path, left_out)
        elif path.suffix.lower() in IMAGE_SUFFIXES | VIDEOS and entry.is_file():
            yield path


def _listed(given: Path) -> Iterator[tuple[Path, Path]]:
    """The files in a list, and their paths relative to its folder, or else to the folder that all have in common."""
    folder = Path() if given == STANDARD_INPUT else given.parent
    paths = [folder / line for line in _lines(given)]
    if not paths:
        raise SourceError(f"{given}: no files in the list. Write one path a line.")
    absolute = [Path(os.path.normpath(path.absolute())) for path in paths]
    root = folder.absolute()
    if not all(path.is_relative_to(root) for path in absolute):
        try:
            root = Path(os.path.commonpath([path.parent for path in absolute]))
        except ValueError as error:
            raise UsageError(f"{given}: its files lie on several drives. Use one list a drive.") from error
    for path, full in zip(paths, absolute, strict=True):
        yield path, full.relative_to(root)


def _lines(given: Path) -> Iterable[str]:
    """The lines of a list but comments (`#`) and empty ones."""
    try:
        content = sys.stdin.buffer.read() if given == STANDARD_INPUT else given.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise SourceError(f"{given}: cannot be read ({error.strerror}). Check the name.") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{given}: not a text file in UTF-8. A list has one path a line.") from error
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)
