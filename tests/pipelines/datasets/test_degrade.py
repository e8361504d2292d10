from dataclasses import replace

import cv2
import numpy as np
import pytest

from deepclarity.errors import SourceError
from deepclarity.models.metrics import psnr
from deepclarity.pipelines.datasets.degrade import PhotoPairs, jpeg, pixelated_pair, read_photo, split_photos
from tests.tiny_recipes import drawing, photo, tiny


def area(large: np.ndarray, scale: int) -> np.ndarray:
    h, w = (side // scale for side in large.shape)
    return large.reshape(h, scale, w, scale).mean(axis=(1, 3))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_averaging_clean_blocks_restores_the_source_exactly(scale):
    recipe = replace(tiny(), pixelated_share=1.0, coded_share=0.0)
    pair = pixelated_pair(photo(1), scale=scale, recipe=recipe, rng=np.random.default_rng(0))
    assert pair.large.shape == tuple(side * scale for side in pair.small.shape)
    assert np.abs(area(pair.large, scale) - pair.small).max() <= 0.51


@pytest.mark.parametrize("block_px", [1.5, 2.0, 3.0, 3.37, 5.5])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_coded_blocks_shift_by_less_than_a_twentieth_of_a_pixel(scale, block_px):
    recipe = replace(
        tiny(), pixelated_share=1.0, coded_share=1.0, noise_share=1.0, crf=(18, 22), jpeg_quality=(85, 95),
        block_px=(block_px, block_px),
    )  # fmt: skip
    moved = []
    for seed in range(8):
        pair = pixelated_pair(photo(2, 336), scale=scale, recipe=recipe, rng=np.random.default_rng(seed))
        truth = area(pair.large, scale)
        along_y, along_x = np.gradient(truth)
        slopes = np.stack([along_x.ravel(), along_y.ravel()], axis=1)
        moved.append(np.linalg.lstsq(slopes, (truth - pair.small).ravel(), rcond=None)[0])
    assert np.abs(np.median(moved, axis=0)).max() < 0.05
    assert np.abs(moved).max() > 0


def test_higher_crf_lowers_psnr():
    def damage(quality: int) -> float:
        return psnr(jpeg(photo(3), quality)[0], photo(3)[0])

    assert damage(30) < damage(60) < damage(90)


def test_chapters_are_deterministic_and_differ_from_each_other():
    recipe = replace(tiny(), pixelated_share=0.5)
    dataset = PhotoPairs([photo(i) for i in range(4)], recipe)
    first, again, other = (
        dataset.pairs_by_scale(0),
        PhotoPairs([photo(i) for i in range(4)], recipe).pairs_by_scale(0),
        dataset.pairs_by_scale(1),
    )
    assert set(first) == set(recipe.scales)
    for one, two in zip(first[4], again[4], strict=True):
        np.testing.assert_array_equal(one.small, two.small)
    assert any(
        one.small.shape != two.small.shape or (one.small != two.small).any()
        for one, two in zip(first[4], other[4], strict=True)
    )


def test_validation_photos_are_separate(tmp_path):
    for i in range(5):
        cv2.imwrite(str(tmp_path / f"{i}.png"), drawing(i, 48))
    training, apart = split_photos(tmp_path, 2)
    assert (len(training), len(apart)) == (3, 2)
    assert not set(training) & set(apart)
    with pytest.raises(SourceError, match="5 photos"):
        split_photos(tmp_path, 5)
    with pytest.raises(SourceError, match="no such folder"):
        split_photos(tmp_path / "nowhere", 1)


def test_photos_smaller_than_a_patch_are_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "dot.png"), drawing(0, 16))
    with pytest.raises(SourceError, match="smaller than 24"):
        read_photo(tmp_path / "dot.png")
    with pytest.raises(SourceError, match="as large as"):
        PhotoPairs([photo(0)], replace(tiny(), patch_px=200))


def test_photo_is_read_as_limited_range_luma():
    luma, blue, red = photo(4)
    assert luma.min() >= 16
    assert luma.max() <= 235
    assert blue.shape == red.shape == (luma.shape[0] // 2, luma.shape[1] // 2)
