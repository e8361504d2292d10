"""EXIF and ICC profiles of still pictures: kept, and the orientation never applied twice."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from deepclarity.stream.files.still import Picture, read_picture, write_picture
from deepclarity.stream.pictures.metadata import upright

MAKE, ORIENTATION, EXIF, TAKEN, WIDTH = 0x010F, 0x0112, 0x8769, 0x9003, 0xA002
PROFILE = b"a profile that nobody reads"
SUFFIXES = [".jpg", ".png", ".webp", ".tiff", ".avif", ".heic"]


def exif_block(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKE] = orientation, "Maker"
    exif.get_ifd(EXIF).update({TAKEN: "2020:01:01 00:00:00", WIDTH: 60})
    return exif.tobytes()


@pytest.fixture
def pixels() -> NDArray[np.uint8]:
    """RGB, (40, 60, 3): dark, but for a bright corner at the top left."""
    picture = np.full((40, 60, 3), 40, np.uint8)
    picture[:20, :30] = 200
    return picture


def profile() -> bytes:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_rotated_picture_stays_upright_and_keeps_its_metadata(
    tmp_path: Path, pixels: NDArray[np.uint8], suffix: str
) -> None:
    if suffix == ".heic":
        pytest.importorskip("pillow_heif").register_heif_opener()
    icc = profile()
    path = tmp_path / f"rotated{suffix}"
    Image.fromarray(pixels).save(path, exif=exif_block(6), icc_profile=icc, quality=95)  # 6: turn it clockwise
    source = read_picture(path)
    for _ in range(2):
        picture = read_picture(path)
        assert picture.pixels.shape == (60, 40, 3)
        assert abs(int(picture.pixels[10, 30].mean()) - 200) < 5
        assert abs(int(picture.pixels[50, 30].mean()) - 40) < 5
        write_picture(path, picture)
    with Image.open(path) as image:
        exif = image.getexif()
        assert exif.get(ORIENTATION, 1) == 1
        assert exif[MAKE].rstrip("\0") == "Maker"
        assert exif.get_ifd(EXIF)[TAKEN].rstrip("\0") == "2020:01:01 00:00:00"
        assert exif.get_ifd(EXIF)[WIDTH] == 40
        assert image.info["icc_profile"] == icc
        assert image.size == (40, 60)
    if suffix in (".png", ".tiff"):
        assert np.array_equal(read_picture(path).pixels, source.pixels)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bits_stay_with_metadata(tmp_path: Path, suffix: str) -> None:
    deep = np.random.default_rng(0).integers(0, 65_536, (20, 30, 3), np.uint16)
    alpha = np.random.default_rng(1).integers(0, 65_536, (20, 30), np.uint16)
    path = tmp_path / f"deep{suffix}"
    write_picture(path, Picture(deep, alpha, np.frombuffer(profile(), np.uint8), exif_block(1)[6:]))
    again = read_picture(path)
    assert np.array_equal(again.pixels, deep)
    assert again.alpha is not None
    assert np.array_equal(again.alpha, alpha)
    assert again.profile is not None
    assert again.profile.tobytes() == profile()
    assert again.exif is not None
    assert b"Maker" in again.exif


def test_a_thumbnail_that_shows_the_old_picture_is_cut_off() -> None:
    directory = b"\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0" + (99).to_bytes(4, "little")
    result = upright(b"II*\0\x08\0\0\0" + directory, (1, 1))
    assert result == b"II*\0\x08\0\0\0" + directory[:10] + b"\x01\0\0\0" + bytes(4)


@pytest.mark.parametrize("damaged", [b"", b"II", b"nonsense", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"])
def test_damaged_exif_is_left_as_it_is(damaged: bytes) -> None:
    assert upright(damaged, (1, 1)) == damaged


def test_damaged_exif_does_not_keep_a_picture_from_being_written(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    for suffix in (".png", ".tiff", ".jpg"):
        write_picture(tmp_path / f"a{suffix}", Picture(pixels, exif=b"II*\0\x08\0\0\0\x01\0"))
        assert cv2.imread(str(tmp_path / f"a{suffix}")) is not None
