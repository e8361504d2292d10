"""The demo's picture: the same each time, full of detail, and broken on demand."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from deepclarity.pipelines.demo.scene import Picture, paint, pan, pixelate


@pytest.fixture(scope="module")
def scene() -> Picture:
    return paint()


def test_another_seed_gives_another_picture_of_the_same_shape(scene: Picture) -> None:
    other = paint(seed=8)
    assert scene.shape == other.shape == (1080, 2560, 3)
    assert scene.dtype == other.dtype == np.uint8
    assert (scene != other).any(axis=-1).mean() > 0.5


def test_same_seed_is_deterministic_and_smaller_sizes_are_crops(scene: Picture) -> None:
    small = paint(640, 360)
    middle = cv2.resize(scene[:, 320:2240], (640, 360), interpolation=cv2.INTER_AREA)
    assert np.array_equal(small, middle)


def test_scene_has_detail_that_pixelation_destroys(scene: Picture) -> None:
    luma = cv2.cvtColor(scene, cv2.COLOR_RGB2GRAY)
    lost = cv2.PSNR(luma, pixelate(luma, block_px=4))
    assert lost < 30
    assert luma.min() < 30
    assert luma.max() > 225


def test_pan_yields_the_requested_number_of_frames(scene: Picture) -> None:
    frames = list(pan(scene, count=5, width=640, height=360))
    assert [f.shape for f in frames] == [(360, 640, 3)] * 5
    assert all(f.dtype == np.uint8 and f.flags["C_CONTIGUOUS"] for f in frames)
    assert len(list(pan(scene, count=1))) == 1
    assert list(pan(scene, count=0)) == []


def test_pan_moves_smoothly_within_the_picture(scene: Picture) -> None:
    steps = []
    frames = list(pan(scene, count=40, width=640, height=360))
    for before, after in pairwise(frames):
        grey = [cv2.cvtColor(f, cv2.COLOR_RGB2GRAY).astype(np.float32) for f in (before, after)]
        (dx, _), _ = cv2.phaseCorrelate(grey[0], grey[1], cv2.createHanningWindow((640, 360), cv2.CV_32F))
        steps.append(-dx)
    assert all(-0.6 < step < 8 for step in steps)
    assert sum(steps) > 60
    assert any(0.15 < step % 1 < 0.85 for step in steps)  # between pixels, as a real camera
    assert np.abs(np.diff(steps)).max() < 1.5


@pytest.mark.parametrize(("block_px", "phase"), [(4, (0, 0)), (3, (1, 2)), (8, (5, 0)), (2.5, (0.5, 1.25))])
def test_pixelated_blocks_are_flat_and_at_the_given_phase(block_px: float, phase: tuple[float, float]) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (61, 83, 3), np.uint8)
    broken = pixelate(picture, block_px=block_px, phase=phase)
    assert broken.shape == picture.shape
    for axis, start in ((1, phase[0]), (0, phase[1])):
        changes = np.flatnonzero(np.diff(broken.astype(int), axis=axis).any(axis=(1 - axis, 2))) + 1
        block = np.floor((np.arange(picture.shape[axis]) + 0.5 - start) / block_px)
        assert changes.tolist() == (np.flatnonzero(np.diff(block)) + 1).tolist()


def test_block_value_is_the_mean_of_its_pixels() -> None:
    picture = np.random.default_rng(2).integers(0, 256, (8, 12), np.uint8)
    broken = pixelate(picture, block_px=4)
    means = picture.reshape(2, 4, 3, 4).mean(axis=(1, 3))
    assert np.abs(broken[::4, ::4] - means).max() <= 0.5
    assert np.array_equal(broken, broken[::4, ::4].repeat(4, axis=0).repeat(4, axis=1))


def test_block_size_one_is_the_identity_and_smaller_is_refused() -> None:
    picture = np.random.default_rng(3).integers(0, 256, (5, 7, 3), np.uint8)
    assert np.array_equal(pixelate(picture, block_px=1), picture)
    with pytest.raises(ValueError, match="at least one pixel"):
        pixelate(picture, block_px=0.5)
