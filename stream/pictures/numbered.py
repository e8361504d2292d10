"""Numbered pictures, `frames/%05d.png`: which there are, and which are missing."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from deepclarity.errors import SourceError, UsageError
from deepclarity.stream.files.still import IMAGE_SUFFIXES, read_picture

from .source import TimedPicture

log = logging.getLogger(__name__)

DEFAULT_RATE = Fraction(25)
_NUMBER = re.compile(r"%(0?)(\d*)d")
_MAX_NAMED = 20


def is_pattern(path: Path) -> bool:
    """Whether `path` stands for numbered pictures: its name holds one `%d`, `%5d` or `%05d`."""
    return len(_NUMBER.findall(path.name)) == 1


def numbered(pattern: Path, number: int) -> Path:
    """The path of one picture."""
    zero, width = _NUMBER.findall(pattern.name)[0]
    text = str(number).rjust(int(width or 0), "0" if zero else " ")
    return pattern.with_name(_NUMBER.sub(text, pattern.name))


def existing_numbers(pattern: Path) -> list[int]:
    """The numbers of the pictures that exist, sorted; raises SourceError if the folder cannot be read."""
    zero, width = _NUMBER.findall(pattern.name)[0]
    before, after = (
        re.escape(part) for part in (pattern.name[: pattern.name.index("%")], _NUMBER.split(pattern.name)[-1])
    )
    digits = rf"\d{{{width},}}" if zero and width else r"\d+"
    expression = re.compile(rf"{before} *({digits}){after}")
    try:
        matches = (expression.fullmatch(path.name) for path in pattern.parent.iterdir())
        found = {int(match[1]) for match in matches if match}
    except OSError as error:
        raise SourceError(f"{pattern.parent}: cannot be read ({error.strerror}). Check the name.") from error
    return sorted(number for number in found if numbered(pattern, number).is_file())


def check_pattern(pattern: Path) -> None:
    """Raise UsageError if pictures of that kind cannot be read or written."""
    if pattern.suffix.lower() not in IMAGE_SUFFIXES:
        known = ", ".join(sorted(IMAGE_SUFFIXES))
        raise UsageError(f"{pattern}: '{pattern.suffix}' pictures are not supported. Use one of {known}.")


def check_pattern_writable(pattern: Path, *, source: Path, overwrite: bool) -> None:
    """Raise UsageError if numbered pictures cannot or must not be written there."""
    check_pattern(pattern)
    folder = pattern.parent
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder. Create it, or choose another one with -o.")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"{folder}: no permission to write there. Choose another folder with -o.")
    if pattern.absolute() == source.absolute():
        raise UsageError(f"{pattern}: the output is the input. Choose another folder with -o.")
    if not overwrite and (found := existing_numbers(pattern)):
        first = numbered(pattern, found[0])
        raise UsageError(f"{first}: already exists. Add -y to replace it, or choose another folder with -o.")


class NumberedPictures:
    """Numbered pictures as a video: its time goes on where a number is missing."""

    def __init__(self, pattern: Path, *, rate: Fraction | None) -> None:
        """Find the pictures; raises SourceError if there are none. `rate`: pictures per second, 25 if None."""
        check_pattern(pattern)
        self.path = pattern
        self.rate: Fraction | None = rate or DEFAULT_RATE
        self.time_base = 1 / (rate or DEFAULT_RATE)
        self.missing = 0
        self._numbers = existing_numbers(pattern)
        if not self._numbers:
            raise SourceError(f"{pattern}: no such pictures. Check the folder and the number of digits.")
        self.first_number = self._numbers[0]
        self.count = len(self._numbers)

    def __iter__(self) -> Iterator[TimedPicture]:
        absent = sorted(set(range(self.first_number, self._numbers[-1] + 1)) - set(self._numbers))
        if absent:
            self.missing += len(absent)
            log.warning("%s: missing numbers: %s", self.path, named(absent))
        for number in self._numbers:
            try:
                picture = read_picture(numbered(self.path, number))
            except SourceError as error:
                self.missing += 1
                log.warning("%s", error)
                continue
            yield TimedPicture(picture, number - self.first_number, 1)


def named(numbers: Sequence[int]) -> str:
    """Numbers as ranges, the first 20 of them: `3, 7–9`."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    texts = [str(first) if first == last else f"{first}–{last}" for first, last in ranges[:_MAX_NAMED]]
    return ", ".join(texts) + (", …" if len(ranges) > _MAX_NAMED else "")
