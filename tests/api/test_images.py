"""`detect` and `correct` on arrays: layouts, dtypes, orders, threads, refusals."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import deepclarity as dc
from deepclarity.stream.files.still import Picture

Array = NDArray[Any]


@pytest.fixture
def blocks(painting: Array) -> Array:
    """A BGR picture in 4-pixel blocks, (360, 640, 3) uint8."""
    small = cv2.resize(np.ascontiguousarray(painting[:360, :640, ::-1]), (160, 90), interpolation=cv2.INTER_AREA)
    return small.repeat(4, axis=0).repeat(4, axis=1)


@pytest.fixture
def clean(painting: Array) -> Array:
    """A clean BGR picture, (360, 640, 3) uint8."""
    return np.ascontiguousarray(painting[:360, :640, ::-1])


def test_detect_finds_blocks_in_both_orders_and_from_a_path(blocks: Array, tmp_path: Path) -> None:
    verdict = dc.detect(blocks)
    cv2.imwrite(str(tmp_path / "x.png"), blocks)
    assert verdict.pixelated
    assert verdict.blocks is not None
    assert verdict.blocks.width_px == pytest.approx(4, rel=0.01)
    assert dc.detect(blocks[:, :, ::-1], order="rgb") == verdict
    assert dc.detect(tmp_path / "x.png") == verdict


def test_detect_accepts_grey_alpha_and_16_bit_arrays(blocks: Array) -> None:
    grey = cv2.cvtColor(blocks, cv2.COLOR_BGR2GRAY)
    alpha = np.dstack([blocks, np.full(blocks.shape[:2], 255, np.uint8)])
    for image in (grey, alpha, blocks.astype(np.uint16) * 257):
        assert dc.detect(image).pixelated


def test_detect_accepts_planes_of_8_and_10_bits(blocks: Array) -> None:
    luma, blue, red = Picture(blocks).planes
    half = (luma, blue[::2, ::2], red[::2, ::2])
    assert dc.detect(half).pixelated
    assert dc.detect([plane.astype(np.uint16) * 4 for plane in half], max_value=1023).pixelated


def test_correct_keeps_size_dtype_layout_and_order(blocks: Array) -> None:
    for image in (blocks, blocks.astype(np.uint16) * 257, blocks[:, :, 0]):
        result = dc.correct(image, model="turbo")
        assert (result.shape, result.dtype) == (image.shape, image.dtype)
        assert not np.array_equal(result, image)
    rgb = dc.correct(np.ascontiguousarray(blocks[:, :, ::-1]), model="turbo", order="rgb")
    assert np.array_equal(rgb[:, :, ::-1], dc.correct(blocks, model="turbo"))


def test_correct_returns_a_clean_image_unchanged(clean: Array) -> None:
    before = clean.copy()
    assert dc.correct(clean, model="turbo") is clean
    assert np.array_equal(clean, before)


def test_correct_does_not_modify_its_input_and_comes_nearer_to_the_truth(blocks: Array, clean: Array) -> None:
    before = blocks.copy()
    result = dc.correct(blocks, model="turbo")
    assert np.array_equal(blocks, before)
    error, worse = (float(np.abs(image.astype(int) - clean).mean()) for image in (result, blocks))
    assert error < worse


def test_correct_keeps_alpha(blocks: Array) -> None:
    alpha = np.arange(360 * 640, dtype=np.uint32).reshape(360, 640).astype(np.uint8)
    result = dc.correct(np.dstack([blocks, alpha]), model="turbo")
    assert result.shape == (360, 640, 4)
    assert np.array_equal(result[:, :, 3], alpha)


def test_correct_planes_returns_planes_of_the_same_shapes(blocks: Array) -> None:
    luma, blue, red = Picture(blocks).planes
    planes = (luma, blue[::2, ::2], red[::2, ::2])
    result = dc.correct(planes, model="turbo")
    assert [plane.shape for plane in result] == [plane.shape for plane in planes]
    assert not np.array_equal(result[0], luma)


def test_scale_and_force_apply_whatever_the_verdict(clean: Array) -> None:
    assert dc.correct(clean, model="turbo", scale=1.5).shape == (540, 960, 3)
    assert not np.array_equal(dc.correct(clean, model="turbo", force=True), clean)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((4, 4, 2), np.uint8), "shape"),
        (np.zeros((0, 4, 3), np.uint8), "shape"),
        (np.zeros((4, 4, 3), np.float32), "dtype float32"),
        ((np.zeros((4, 4), np.uint8),) * 2, "three 2-D"),
        ((np.zeros((4, 4), np.uint16),) * 3, "max_value"),
        ((np.zeros((9, 9), np.uint8), *(np.zeros((2, 2), np.uint8),) * 2), "does not fit"),
        ("film.mp4", "detect_file"),
        (None, "NumPy array"),
    ],
)
def test_unusable_input_is_refused_in_one_line(image: Any, words: str) -> None:
    with pytest.raises(dc.errors.UsageError, match=words) as caught:
        dc.detect(image)
    assert "\n" not in str(caught.value)


def test_unknown_names_and_values_are_refused(clean: Array) -> None:
    for options in ({"model": "turbi"}, {"detector": "gird"}, {"order": "bgra"}, {"scale": 99}, {"device": "tpu"}):
        with pytest.raises(dc.errors.UsageError):
            dc.correct(clean, **options)


def test_threads_share_models_and_get_the_results_of_one(blocks: Array, clean: Array) -> None:
    images = [blocks, clean, np.ascontiguousarray(blocks[:, ::-1])] * 3
    alone = [dc.correct(image, model="turbo") for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda image: dc.correct(image, model="turbo"), images))
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


def test_it_works_where_an_event_loop_runs(blocks: Array) -> None:
    async def cell() -> tuple[Array, Array]:
        return dc.correct(blocks, model="turbo"), await asyncio.to_thread(dc.correct, blocks, model="turbo")

    direct, threaded = asyncio.run(cell())
    assert np.array_equal(direct, threaded)
