"""Block map: full on enlarged pixels, empty on ordinary pictures, noise and codec blocks, and on what is drawn over."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from deepclarity.models.block_map import block_map
from deepclarity.models.verdict import Blocks, Plane
from deepclarity.pipelines.blend import map_of, repair_mask
from deepclarity.pipelines.demo.scene import paint
from deepclarity.pipelines.repair_plan import axis_of
from deepclarity.stream.files.recode import recode

Floats = NDArray[np.float32]


@pytest.fixture(scope="module")
def picture() -> Plane:
    """Luma of the painted harbour, (360, 640)."""
    return np.ascontiguousarray(paint(640, 360)[..., 1])


def in_blocks(luma: Plane, block_px: float, phase_px: float = 0.0) -> Plane:
    """Every block has the mean of its samples."""
    rows, columns = (
        np.searchsorted(axis_of(n, block_px, phase_px).starts(), np.arange(n), side="right") - 1 for n in luma.shape
    )
    sums, count = np.zeros((rows[-1] + 1, columns[-1] + 1)), np.zeros((rows[-1] + 1, columns[-1] + 1))
    np.add.at(sums, (rows[:, None], columns), luma)
    np.add.at(count, (rows[:, None], columns), 1)
    return np.rint(sums / count).astype(np.uint8)[rows][:, columns]


def coded(luma: Plane, codec: str, crf: int) -> Plane:
    grey = np.full((luma.shape[0] // 2, luma.shape[1] // 2), 128, np.uint8)
    decoded = recode([(np.asarray(luma, np.uint8), grey, grey)], codec=codec, crf=crf)
    return decoded[0][0]


def share(luma: Plane, block_px: float, phase_px: float = 0.0) -> float:
    """The mean of the map over the cells on a slope: elsewhere there is no evidence."""
    blocks = Blocks(block_px, block_px, phase_px % block_px, phase_px % block_px)
    mask = repair_mask(map_of(luma, blocks), blocks)
    sloped = np.abs(cv2.Laplacian(np.asarray(luma, np.float32), cv2.CV_32F, ksize=5)) > 40
    weights = mask.weights((luma.shape[1], luma.shape[0])) / 255
    return float(weights[sloped].mean())


@pytest.mark.parametrize("block_px", [2, 3, 4, 8, 2.5, 3.7, 8.05])
def test_map_is_full_on_uncoded_blocks(picture: Plane, block_px: float) -> None:
    assert share(in_blocks(picture, block_px), block_px) > 0.95


@pytest.mark.parametrize(("block_px", "crf"), [(4, 23), (8, 26), (3.7, 20)])
def test_map_is_nearly_full_on_coded_blocks(picture: Plane, block_px: float, crf: int) -> None:
    assert share(coded(in_blocks(picture, block_px), "h264", crf), block_px) > 0.85


@pytest.mark.parametrize("block_px", [2, 3, 4, 8, 16, 3.7])
def test_map_is_empty_on_an_ordinary_picture(picture: Plane, block_px: float) -> None:
    assert share(picture, block_px) < 0.03
    assert share(coded(picture, "h264", 23), block_px) < 0.03


@pytest.mark.parametrize("codec", ["mpeg2video", "mpeg4"])
def test_map_is_nearly_empty_on_macroblocks(picture: Plane, codec: str) -> None:
    assert share(coded(picture, codec, 12), 8) < 0.1


def test_map_is_empty_on_noise_and_on_a_flat_picture() -> None:
    noise = np.random.default_rng(1).normal(128, 5, (120, 160)).astype(np.uint8)
    for luma in (noise, np.full((120, 160), 90, np.uint8)):
        assert repair_mask(map_of(luma, Blocks(4, 4)), Blocks(4, 4)).is_empty


def test_map_is_empty_at_the_wrong_block_size(picture: Plane) -> None:
    assert share(in_blocks(picture, 4), 6) < 0.05
    assert share(in_blocks(picture, 4), 8) < 0.1


def test_map_leaves_out_writing_over_blocks(picture: Plane) -> None:
    written = in_blocks(picture, 4).copy()
    cv2.putText(written, "0123456789", (60, 200), cv2.FONT_HERSHEY_SIMPLEX, 2, 255, 3, cv2.LINE_AA)
    edges = np.abs(written.astype(int) - in_blocks(picture, 4)) > 60
    weights = repair_mask(map_of(written, Blocks(4, 4)), Blocks(4, 4)).weights((640, 360))
    assert (weights[edges] < 26).mean() > 0.95


def test_map_covers_only_the_part_in_blocks(picture: Plane) -> None:
    part = picture.copy()
    part[96:288, 160:480] = in_blocks(picture, 4)[96:288, 160:480]
    weights = repair_mask(map_of(part, Blocks(4, 4)), Blocks(4, 4)).weights((640, 360)) / 255
    inside = np.zeros(part.shape, np.bool_)
    inside[96:288, 160:480] = True
    outside = ~cv2.dilate(inside.astype(np.uint8), np.ones((33, 33))).astype(bool)
    assert weights[outside].mean() < 0.01
    assert weights[120:264, 184:456].mean() > 0.5


def test_10_bit_map_equals_the_8_bit_map(picture: Plane) -> None:
    luma = in_blocks(picture, 4)
    columns, rows = np.arange(0, 640, 4), np.arange(0, 360, 4)
    shallow = block_map(luma, columns, rows)
    deep = block_map(luma.astype(np.uint16) * 4, columns, rows, max_value=1020)
    assert np.abs(shallow.share - deep.share).max() < 1e-3
    assert shallow.support == pytest.approx(deep.support, abs=1e-3)


@pytest.mark.parametrize("block_px", [2, 4, 8])
def test_area_averages_give_the_map_of_integral_images(picture: Plane, block_px: int) -> None:
    luma = coded(in_blocks(picture, block_px), "h264", 26)[:352]
    columns, rows = np.arange(0, 640, block_px), np.arange(0, 352, block_px)
    fast = block_map(luma, columns, rows)
    general = block_map(np.ascontiguousarray(np.pad(luma, ((0, 0), (1, 0)), "edge"))[:, 1:], columns, rows)
    assert np.abs(fast.share - general.share).max() < 1e-3
