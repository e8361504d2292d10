"""Numbered pictures: patterns, and numbers that are missing."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from deepclarity.errors import SourceError, UsageError
from deepclarity.stream.files.still import Picture, write_picture
from deepclarity.stream.pictures.numbered import NumberedPictures, existing_numbers, is_pattern, named, numbered


@pytest.mark.parametrize(
    ("pattern", "expected"), [("a%d.png", "a7.png"), ("%05d.png", "00007.png"), ("x%3d.tif", "x  7.tif")]
)
def test_a_pattern_names_its_files(pattern: str, expected: str) -> None:
    assert is_pattern(Path(pattern))
    assert numbered(Path("folder") / pattern, 7) == Path("folder") / expected


@pytest.mark.parametrize("name", ["film.mp4", "100%.png", "%d-%d.png", "%s.png"])
def test_other_names_are_no_patterns(name: str) -> None:
    assert not is_pattern(Path(name))


def test_only_files_of_the_pattern_count(tmp_path: Path) -> None:
    for name in ("0001.png", "0003.png", "12345.png", "002.png", "0004.jpg", "a0005.png", "0006.png.bak"):
        (tmp_path / name).touch()
    (tmp_path / "0007.png").mkdir()
    assert existing_numbers(tmp_path / "%04d.png") == [1, 3, 12345]
    assert existing_numbers(tmp_path / "%d.png") == [12345]


def test_time_goes_on_where_a_number_is_missing_or_unreadable(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in (3, 4, 6, 9, 10):
        write_picture(tmp_path / f"{number:03}.png", Picture(np.full((4, 6, 3), number, np.uint8)))
    (tmp_path / "009.png").write_bytes(b"damaged")
    pictures = NumberedPictures(tmp_path / "%03d.png", rate=Fraction(24000, 1001))
    found = [(timed.pts, int(timed.picture.pixels[0, 0, 0])) for timed in pictures]
    assert found == [(0, 3), (1, 4), (3, 6), (7, 10)]
    assert (pictures.missing, pictures.time_base) == (4, Fraction(1001, 24000))
    assert "missing numbers: 5, 7–8" in caplog.text
    assert "009.png: not a picture" in caplog.text


def test_no_pictures_at_all_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such pictures"):
        NumberedPictures(tmp_path / "%05d.png", rate=None)
    with pytest.raises(SourceError, match="cannot be read"):
        NumberedPictures(tmp_path / "nowhere/%05d.png", rate=None)
    with pytest.raises(UsageError, match=r"'\.exr' pictures are not supported"):
        NumberedPictures(tmp_path / "%05d.exr", rate=None)


def test_many_missing_numbers_are_abbreviated() -> None:
    assert named([1, 2, 3, 7]) == "1–3, 7"
    assert named(range(1, 100, 2)).endswith(", 39, …")
