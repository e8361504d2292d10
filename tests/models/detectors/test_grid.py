from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from deepclarity.models.detectors.grid import Grid
from deepclarity.models.verdict import Blocks, Kind

Picture = NDArray[np.uint8]


def scene(width: int = 640, height: int = 480, *, seed: int = 5) -> Picture:
    """A synthetic picture with gradients, texture at several scales, discs and slanted lines."""
    rng = np.random.default_rng(seed)
    picture = np.tile(np.linspace(60, 180, width, dtype=np.float32), (height, 1))
    for sigma, strength in ((24, 40), (6, 20), (1.5, 6)):
        noise = cv2.GaussianBlur(rng.standard_normal((height, width)).astype(np.float32), (0, 0), sigma)
        picture += noise * (strength / noise.std())
    for _ in range(12):
        x, y, size, shade = (int(rng.integers(n)) for n in (width, height, 60, 256))
        cv2.circle(picture, (x, y), 8 + size, float(shade), -1, cv2.LINE_AA)
        cv2.line(picture, (y, x), (x, y), float(shade), 2, cv2.LINE_AA)
    return cv2.GaussianBlur(picture, (0, 0), 0.6).clip(0, 255).astype(np.uint8)


def enlarged(across: float, down: float, *, left: int = 0, top: int = 0, seed: int = 5) -> Picture:
    """The scene reduced, enlarged to about 640×480 by nearest neighbour, and cropped at left and top."""
    small = cv2.resize(scene(seed=seed), None, fx=1 / across, fy=1 / down, interpolation=cv2.INTER_AREA)
    rows, columns = (np.arange(int(n * f)) // f for n, f in zip(small.shape, (down, across), strict=True))
    return np.ascontiguousarray(small[np.ix_(rows.astype(int), columns.astype(int))][top:, left:])


def as_jpeg(picture: Picture, quality: int) -> Picture:
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)


def edge_offset(blocks: Blocks | None, *, edges_from: float) -> float:
    """Distance in pixels of the edges found from those at edges_from + k * width."""
    assert blocks is not None
    return abs((blocks.phase_x_px - edges_from + blocks.width_px / 2) % blocks.width_px - blocks.width_px / 2)


@pytest.mark.parametrize("factor", [1.5, 2, 2.25, 2.5, 3, 3.75, 4, 4.5, 5, 6, 7.11, 8, 16])
def test_nearest_neighbour_blocks_are_found_with_correct_size(factor: float) -> None:
    verdict = Grid()(enlarged(factor, factor))
    assert verdict.kind is Kind.PIXELATED
    assert verdict.score > 0.9
    assert verdict.blocks is not None
    assert verdict.blocks.width_px == pytest.approx(factor, rel=1e-3)
    assert verdict.blocks.height_px == pytest.approx(factor, rel=1e-3)


@pytest.mark.parametrize("left", range(6))
def test_phase_follows_the_crop_offset(left: int) -> None:
    verdict = Grid()(enlarged(6, 6, left=left, top=2))
    assert verdict.blocks is not None
    assert edge_offset(verdict.blocks, edges_from=-left) < 0.01
    assert verdict.blocks.phase_y_px == pytest.approx(4)


def test_edges_lie_at_rounded_multiples_of_width_plus_phase() -> None:
    picture = enlarged(3.75, 3.75)
    blocks = Grid()(picture).blocks
    assert blocks is not None
    expected = {round(blocks.phase_x_px + k * blocks.width_px) for k in range(150)}
    actual = np.flatnonzero((picture[:, 1:] != picture[:, :-1]).any(axis=0)) + 1
    assert expected >= {int(x) for x in actual if x < 500}


@pytest.mark.parametrize(("across", "down"), [(6, 4.5), (2, 4), (7.5, 3.75)])
def test_oblong_blocks_have_width_and_height_of_their_own(across: float, down: float) -> None:
    blocks = Grid()(enlarged(across, down)).blocks
    assert blocks is not None
    assert (blocks.width_px, blocks.height_px) == pytest.approx((across, down), rel=1e-3)


def test_10_bit_luma_gives_the_same_verdict_as_8_bit() -> None:
    picture = enlarged(4, 4, left=1)
    eight, ten = Grid()(picture), Grid()(picture.astype(np.uint16) * 4, max_value=1020)
    assert ten.kind is eight.kind is Kind.PIXELATED
    assert ten.blocks == eight.blocks
    assert ten.score == pytest.approx(eight.score, abs=1e-3)


def test_row_padding_is_ignored() -> None:
    picture = enlarged(3, 3)
    padded = np.random.default_rng(1).integers(0, 256, (picture.shape[0], 1024), np.uint8)
    padded[:, : picture.shape[1]] = picture
    assert Grid()(padded[:, : picture.shape[1]]) == Grid()(picture)


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (1, 4096), (16, 4096), (4096, 16), (17, 13), (480, 640)])
@pytest.mark.parametrize("shade", [0, 128, 255])
def test_flat_pictures_of_any_size_are_clean(shape: tuple[int, int], shade: int) -> None:
    verdict = Grid()(np.full(shape, shade, np.uint8))
    assert verdict.kind is Kind.CLEAN
    assert verdict.score < 0.2
    assert verdict.blocks is None


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (13, 13), (16, 4096), (4096, 16), (33, 65)])
def test_noise_of_any_size_is_not_pixelated(shape: tuple[int, int]) -> None:
    verdict = Grid()(np.random.default_rng(3).integers(0, 256, shape, np.uint8))
    assert not verdict.pixelated
    assert verdict.score < 0.5


@pytest.mark.parametrize("seed", range(8))
def test_natural_picture_is_clean(seed: int) -> None:
    verdict = Grid()(scene(seed=seed))
    assert verdict.kind is Kind.CLEAN
    assert verdict.score < 0.2


@pytest.mark.parametrize("quality", [20, 30, 50, 90])
def test_codec_blocks_are_not_pixelated(quality: int) -> None:
    verdict = Grid()(as_jpeg(scene(), quality))
    assert verdict.kind in (Kind.CLEAN, Kind.BLOCKY)
    assert verdict.score < 0.5


@pytest.mark.parametrize("factor", [1.5, 2, 3, 4])
@pytest.mark.parametrize("filter_", [cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4])
def test_smooth_upscale_is_not_pixelated(factor: float, filter_: int) -> None:
    small = cv2.resize(scene(), None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
    verdict = Grid()(np.asarray(cv2.resize(small, (640, 480), interpolation=filter_), np.uint8))
    assert verdict.kind in (Kind.CLEAN, Kind.SOFT)
    assert verdict.score < 0.5


@pytest.mark.parametrize(("factor", "left"), [(4, 0), (4, 3), (3, 1), (2.5, 0), (6, 2), (8, 5)])
def test_blocks_are_found_after_jpeg(factor: float, left: int) -> None:
    verdict = Grid()(as_jpeg(enlarged(factor, factor, left=left), 50))
    assert verdict.kind is Kind.PIXELATED
    assert verdict.blocks is not None
    assert verdict.blocks.width_px == pytest.approx(factor, rel=0.01)
    offset = 0.25 if factor == 2.5 else 0
    assert edge_offset(verdict.blocks, edges_from=offset - left) < 0.5


def test_score_decreases_as_blocks_are_blurred() -> None:
    blocks = enlarged(4, 4)
    scores = [Grid()(cv2.GaussianBlur(blocks, (0, 0), sigma)).score for sigma in (0.2, 0.6, 0.8, 1.2, 2.0)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.9
    assert scores[-1] < 0.1


def test_blocks_between_letterbox_bars_are_found() -> None:
    picture = np.full((720, 640), 16, np.uint8)
    blocks = enlarged(4, 4)[:480]
    picture[120 : 120 + blocks.shape[0]] = blocks
    assert Grid()(picture).pixelated
    picture[120:600] = scene()
    assert not Grid()(picture).pixelated


def test_picture_half_in_blocks_is_pixelated() -> None:
    picture = scene()
    blocks = enlarged(4, 4)
    picture[:, :320] = blocks[:480, :320]
    verdict = Grid()(picture)
    assert verdict.pixelated
    assert verdict.blocks is not None
    assert verdict.blocks.width_px == pytest.approx(4, rel=0.01)


def test_lattice_along_one_axis_is_not_pixelated() -> None:
    doubled = np.repeat(scene()[::2], 2, axis=0)
    assert not Grid()(doubled).pixelated
    assert not Grid()(np.ascontiguousarray(doubled.T)).pixelated
