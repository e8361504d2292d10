"""Still pictures: reading, repair, writing, and detection on files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from deepclarity.errors import SourceError, UsageError
from deepclarity.models.detectors import load_detector
from deepclarity.models.load import load_enhancer
from deepclarity.pipelines.correct import correct, side_by_side
from deepclarity.pipelines.demo.scene import pixelate
from deepclarity.pipelines.detect_file import detect_file, files_in
from deepclarity.stream.files.still import Picture, read_picture, write_picture
from tests.conftest import MakeClip, Rgb


@pytest.fixture
def broken(tmp_path: Path, painting: Rgb) -> Path:
    path = tmp_path / "broken.png"
    write_picture(path, Picture(np.ascontiguousarray(pixelate(painting, block_px=4)[..., ::-1])))
    return path


def repaired(path: Path, **options: object) -> tuple[Picture, bool]:
    enhancer = load_enhancer("turbo", device="cpu")
    corrected = correct(read_picture(path), detector=load_detector("grid"), enhancer=enhancer, **options)  # type: ignore[arg-type]
    enhancer.close()
    return corrected.picture, corrected.repaired


def test_pixelated_picture_is_repaired_at_its_own_size(broken: Path, painting: Rgb) -> None:
    picture, was_repaired = repaired(broken)
    assert was_repaired
    assert picture.pixels.shape == painting.shape
    truth = np.ascontiguousarray(painting[..., ::-1])
    assert cv2.PSNR(picture.pixels, truth) > cv2.PSNR(read_picture(broken).pixels, truth) + 0.5


def test_what_is_not_repaired_stays_bit_for_bit(tmp_path: Path, painting: Rgb) -> None:
    picture, path = painting.copy(), tmp_path / "half.png"
    picture[:, 640:] = pixelate(painting, block_px=4)[:, 640:]
    write_picture(path, Picture(picture))
    result, was_repaired = repaired(path)
    assert was_repaired
    assert np.array_equal(result.pixels[:, :600], picture[:, :600])
    assert (result.pixels[:, 640:] != picture[:, 640:]).mean() > 0.5


def test_clean_picture_is_unchanged_unless_forced(tmp_path: Path, painting: Rgb) -> None:
    path = tmp_path / "clean.png"
    write_picture(path, Picture(painting))
    unchanged, was_repaired = repaired(path)
    assert not was_repaired
    assert np.array_equal(unchanged.pixels, painting)
    assert repaired(path, force=True)[1]


def test_scale_enlarges_a_picture(broken: Path, painting: Rgb) -> None:
    assert repaired(broken, scale=2.0)[0].pixels.shape == (1080, 2560, 3)


def test_16_bit_depth_and_alpha_are_kept(tmp_path: Path, painting: Rgb) -> None:
    pixels = pixelate(painting, block_px=4).astype(np.uint16) * 257
    alpha = np.full(pixels.shape[:2], 40_000, np.uint16)
    path, out = tmp_path / "deep.png", tmp_path / "out.png"
    write_picture(path, Picture(pixels, alpha))
    picture, was_repaired = repaired(path)
    write_picture(out, picture)
    again = read_picture(out)
    assert was_repaired
    assert (again.pixels.dtype, again.max_value) == (np.uint16, 65_535)
    assert again.alpha is not None
    assert (again.alpha == 40_000).all()


def with_exif_orientation(jpeg: bytes, orientation: int) -> bytes:
    """A JPEG with an EXIF orientation tag (JEITA CP-3451, tag 0x0112)."""
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01" + orientation.to_bytes(2, "big") + b"\0\0\0\0\0\0"
    block = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + jpeg[2:]


def test_exif_orientation_is_applied(tmp_path: Path, painting: Rgb) -> None:
    _, data = cv2.imencode(".jpg", painting)
    path = tmp_path / "rotated.jpg"
    path.write_bytes(with_exif_orientation(data.tobytes(), 6))
    assert read_picture(path).pixels.shape == (1280, 540, 3)


@pytest.mark.parametrize("kind", ["grey", "rgba", "palette"])
def test_grey_rgba_and_palette_pictures_are_read(tmp_path: Path, painting: Rgb, kind: str) -> None:
    pictures: dict[str, NDArray[np.uint8]] = {
        "grey": painting[..., 0],
        "rgba": np.dstack([painting, painting[..., 0]]),
        "palette": (painting[..., 0] > 128).astype(np.uint8) * 255,
    }
    path = tmp_path / f"{kind}.png"
    assert cv2.imwrite(str(path), np.ascontiguousarray(pictures[kind]))
    picture = read_picture(path)
    assert picture.pixels.shape == painting.shape
    assert (picture.alpha is not None) == (kind == "rgba")


def test_invalid_picture_and_unsupported_format_raise_clear_errors(tmp_path: Path, broken: Path) -> None:
    cut = tmp_path / "text.png"
    cut.write_text("hello")
    with pytest.raises(SourceError, match="not a picture"):
        read_picture(cut)
    with pytest.raises(UsageError, match=r"cannot write '\.gif'"):
        write_picture(tmp_path / "out.gif", read_picture(broken))


def test_side_by_side(broken: Path) -> None:
    before = read_picture(broken)
    both = side_by_side(before, Picture(cv2.resize(before.pixels, None, fx=2, fy=2)))
    assert both.pixels.shape[0] == 1080
    assert both.pixels.shape[1] > 2 * 2560


def test_detect_scores_each_file_separately(broken: Path, make_clip: MakeClip, tmp_path: Path) -> None:
    make_clip("film.mp4", count=40, pixelated=range(10, 30))
    found = {
        Path(one.path).name: one for one in (detect_file(file, load_detector("grid")) for file in files_in(tmp_path))
    }
    assert found["broken.png"].pixelated
    assert (found["broken.png"].block_px, found["broken.png"].frames) == (4.0, None)
    film = found["film.mp4"]
    assert (film.pixelated, film.frames) == (True, 40)
    assert [(part["first_frame"], part["last_frame"]) for part in film.ranges] == [(10, 29)]


def test_empty_folder_raises_source_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no pictures or videos"):
        list(files_in(tmp_path))
