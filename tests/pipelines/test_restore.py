"""Frame repair: exact block averaging, no shift, 8 and 10 bits, any chroma subsampling."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from deepclarity.models.load import load_enhancer
from deepclarity.models.verdict import Blocks, Plane
from deepclarity.pipelines.repair_plan import axis_of, network_factor
from deepclarity.pipelines.restore import resample, restore, undo_blocks


def nearest(small: Plane, size: tuple[int, int], factor: float, shift: float) -> tuple[Plane, float]:
    """`small` enlarged by nearest neighbour, and the mean position of its first block."""
    columns = np.floor((np.arange(size[0]) + shift) / factor + 1e-9).astype(int)
    rows = np.floor((np.arange(size[1]) + shift) / factor + 1e-9).astype(int)
    starts = np.flatnonzero(np.diff(columns, prepend=-1))
    return small[rows][:, columns], float(np.mean(starts - factor * np.arange(len(starts))))


@pytest.mark.parametrize("factor", [1.5, 2, 2.25, 2.5, 3, 3.75, 4, 7.11])
@pytest.mark.parametrize("shift", [0.0, 0.5])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_averaging_nearest_blocks_restores_the_small_picture(factor: float, shift: float, dtype: type) -> None:
    rng = np.random.default_rng(4)
    small = rng.integers(0, 256 if dtype is np.uint8 else 1024, (140, 220)).astype(dtype)
    picture, phase = nearest(small, (320, 200), factor, shift)
    found = undo_blocks(picture, axis_of(320, factor, phase).starts(), axis_of(200, factor, phase).starts())
    rows, columns = (int((length - 1 + shift) / factor + 1e-9) + 1 for length in (200, 320))
    assert np.array_equal(found, small[:rows, :columns])
    assert found.dtype == dtype


def test_partial_blocks_at_the_edges_become_samples() -> None:
    small = np.random.default_rng(5).integers(0, 256, (9, 12), np.uint8)
    picture = np.kron(small, np.ones((8, 8), np.uint8))[5:, 3:]
    found = undo_blocks(picture, axis_of(picture.shape[1], 8, 5).starts(), axis_of(picture.shape[0], 8, 3).starts())
    assert np.array_equal(found, small)


def wave(width: int, height: int, *, left: float = 0.0) -> NDArray[np.float32]:
    """A smooth picture; `left`: offset of its samples to the left of their centres, as for 4:2:0 chroma."""
    x = (np.arange(width) + 0.5 - left) / width
    y = (np.arange(height) + 0.5) / height
    return (100 + 80 * np.sin(6 * x[None, :]) * np.cos(5 * y[:, None])).astype(np.float32)


def in_blocks(width: int, height: int, blocks: Blocks) -> Plane:
    """The same picture in blocks, each with the value at its centre."""
    x = (np.floor((np.arange(width) + 0.5 - blocks.phase_x_px) / blocks.width_px) + 0.5) * blocks.width_px
    y = (np.floor((np.arange(height) + 0.5 - blocks.phase_y_px) / blocks.height_px) + 0.5) * blocks.height_px
    x, y = (x + blocks.phase_x_px) / width, (y + blocks.phase_y_px) / height
    return np.round(100 + 80 * np.sin(6 * x)[None, :] * np.cos(5 * y)[:, None]).astype(np.uint8)


@pytest.mark.parametrize(
    "blocks",
    [Blocks(4, 4), Blocks(4, 4, 1, 3), Blocks(2.5, 2.5, 1, 2), Blocks(6, 4.5, 2, 1), Blocks(8, 8), Blocks(1.5, 1.5)],
)
def test_restored_picture_is_not_shifted(blocks: Blocks) -> None:
    luma = in_blocks(480, 270, blocks)
    grey = np.full((135, 240), 128, np.uint8)
    lanczos = load_enhancer("lanczos")
    size = (480, 270)
    repaired = restore((luma, grey, grey), enhancer=lanczos, blocks=blocks, size=size, max_value=255)
    inside = np.s_[16:-16, 16:-16]
    assert np.abs(repaired[0].astype(np.float32) - wave(480, 270))[inside].max() < 4
    assert set(np.unique(repaired[1])) == {128}


@pytest.mark.parametrize(("ratios", "left"), [((2, 2), 0.25), ((2, 1), 0.25), ((1, 1), 0.0)])
def test_chroma_siting_is_kept(ratios: tuple[int, int], left: float) -> None:
    width, height = 240, 136
    luma = np.round(wave(width, height)).astype(np.uint8)
    chroma = np.round(wave(width // ratios[0], height // ratios[1], left=left)).astype(np.uint8)
    restored = restore(
        (luma, chroma, chroma),
        enhancer=load_enhancer("lanczos"),
        blocks=None,
        size=(960, 544),
        max_value=255,
        subsampling=ratios,
    )
    expected = wave(960 // ratios[0], 544 // ratios[1], left=left)
    assert restored[1].shape == expected.shape
    assert np.abs(restored[1] - expected)[8:-8, 8:-8].max() < 2


@pytest.mark.parametrize("block", [2, 3, 4, 5, 8])
@pytest.mark.parametrize("phase", [0, 1, 2, 3])
def test_chroma_of_blocks_is_not_shifted(block: int, phase: int) -> None:
    blocks = Blocks(block, block, phase % block, phase % block)
    full = in_blocks(480, 270, blocks).astype(np.float32)
    left = np.roll(full, 1, axis=1)  # 4:2:0 as encoders make it: filtered 1 2 1 about the left column
    left[:, 0] = full[:, 0]
    right = np.roll(full, -1, axis=1)
    columns = ((left + 2 * full + right) / 4)[:, ::2]
    chroma = np.round((columns[::2] + columns[1::2]) / 2).astype(np.uint8)
    out = restore(
        (full.astype(np.uint8), chroma, chroma),
        enhancer=load_enhancer("lanczos"),
        blocks=blocks,
        size=(480, 270),
        max_value=255,
    )[1].astype(np.float32)
    inside = np.s_[16:-16, 16:-16]
    truth = wave(240, 135, left=0.25)
    shifts = [np.abs(np.roll(truth, (down, across), (0, 1)) - out)[inside].mean() for down, across in SHIFTS]
    assert int(np.argmin(shifts)) == 0
    assert np.abs(truth - out)[inside].mean() < 1.5


SHIFTS = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)]


def test_10_bit_depth_is_kept() -> None:
    luma = np.random.default_rng(7).integers(0, 1024, (40, 64)).astype(np.uint16)
    chroma = np.full((20, 32), 512, np.uint16)
    enhancer = load_enhancer("turbo", device="cpu")
    out = restore((luma, chroma, chroma), enhancer=enhancer, blocks=None, size=(192, 120), max_value=1023)
    assert out[0].dtype == np.uint16
    assert out[0].max() <= 1023
    assert out[0].shape == (120, 192)
    assert np.abs(out[1].astype(int) - 512).max() <= 1
    enhancer.close()


def test_integer_window_is_a_slice_without_copy() -> None:
    plane = np.arange(200, dtype=np.uint8).reshape(10, 20)
    part = resample(plane, (10, 5), step=(1.0, 1.0), start=(3.0, 2.0), max_value=255)
    assert np.array_equal(part, plane[2:7, 3:13])
    assert np.shares_memory(part, plane)


def test_downscaling_averages() -> None:
    fine = np.tile(np.array([[0, 255], [255, 0]], np.uint8), (64, 64))
    coarse = resample(fine, (37, 37), step=(128 / 37, 128 / 37), start=(0.0, 0.0), max_value=255)
    assert np.abs(coarse.astype(int) - 128).max() < 40


def test_network_factor_is_the_nearest_supported_scale() -> None:
    assert [network_factor((2, 3, 4), needed) for needed in (1.5, 2.0, 2.05, 2.5, 4.0, 8.0)] == [2, 2, 2, 3, 4, 4]


def test_repair_improves_psnr() -> None:
    from deepclarity.pipelines.demo.scene import paint, pixelate

    truth = cv2.cvtColor(paint(640, 360), cv2.COLOR_RGB2GRAY)
    broken = cv2.cvtColor(pixelate(paint(640, 360), block_px=4), cv2.COLOR_RGB2GRAY)
    grey = np.full((180, 320), 128, np.uint8)
    enhancer = load_enhancer("turbo", device="cpu")
    repaired = restore((broken, grey, grey), enhancer=enhancer, blocks=Blocks(4, 4), size=(640, 360), max_value=255)[0]
    enhancer.close()
    assert cv2.PSNR(truth, np.ascontiguousarray(repaired)) > cv2.PSNR(truth, broken) + 0.5
