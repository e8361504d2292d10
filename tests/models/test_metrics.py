"""Quality metrics: known values, known properties, and errors for unusable input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from deepclarity.errors import InputError, WeightsError
from deepclarity.models.metrics import Lpips, flicker, luma_of, psnr, rgb_from, ssim, ycbcr_of
from deepclarity.stream.files.still import read_picture

Bytes = NDArray[np.uint8]


@pytest.fixture(scope="session")
def features() -> Path:
    """LPIPS weights and its authors' example pictures, if they are next to the checkout."""
    folder = Path(__file__).parents[3] / "shared" / "data" / "features"
    if not folder.is_dir():
        pytest.skip("no shared features next to this checkout: LPIPS is not verified")
    return folder


def noise(shape: tuple[int, ...], seed: int = 0) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def test_luma_and_chroma_equal_matlab_rgb2ycbcr() -> None:
    colours = np.array([[[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    assert luma_of(colours)[0] == pytest.approx([235, 16, 81.481, 144.553, 40.966])
    assert ycbcr_of(colours)[0, 2] == pytest.approx([81.481, 90.203, 240])


def test_rgb_to_ycbcr_round_trip_is_exact() -> None:
    picture = noise((20, 30, 3))
    assert np.array_equal(rgb_from(ycbcr_of(picture)), picture)


def test_psnr_of_one_level_difference_is_48_db() -> None:
    plane = noise((40, 50)) // 2
    assert psnr(plane + np.uint8(1), plane) == pytest.approx(48.1308, abs=1e-4)


def test_border_is_ignored() -> None:
    plane = noise((40, 50))
    framed = plane.copy()
    framed[:4] = framed[-4:] = framed[:, :4] = framed[:, -4:] = 0
    assert psnr(framed, plane) == psnr(plane, plane) == 100
    assert ssim(framed, plane) == pytest.approx(1)
    assert psnr(framed, plane, border_px=3) < 40


def test_ssim_of_flat_planes_equals_formula() -> None:
    dark, light = np.full((30, 30), 100, np.uint8), np.full((30, 30), 120, np.uint8)
    assert ssim(dark, light) == pytest.approx((2 * 100 * 120 + 6.5025) / (100**2 + 120**2 + 6.5025))


def test_ssim_of_one_window_equals_direct_computation() -> None:
    x, y = noise((11, 11), 1).astype(float), noise((11, 11), 2).astype(float)
    offset = np.arange(11) - 5
    window = np.exp(-(offset[:, None] ** 2 + offset**2) / (2 * 1.5**2))
    window /= window.sum()
    mean_x, mean_y = (window * x).sum(), (window * y).sum()
    variance = (window * (x - mean_x) ** 2).sum() + (window * (y - mean_y) ** 2).sum()
    covariance = (window * (x - mean_x) * (y - mean_y)).sum()
    expected = (2 * mean_x * mean_y + 6.5025) * (2 * covariance + 58.5225)
    expected /= (mean_x**2 + mean_y**2 + 6.5025) * (variance + 58.5225)
    assert ssim(x, y, border_px=0) == pytest.approx(expected)


def test_ssim_is_symmetric_and_decreases_with_noise() -> None:
    plane = noise((64, 64)) // 2 + np.uint8(64)
    little = plane + noise((64, 64), 3) // 16
    much = plane + noise((64, 64), 3) // 4
    assert ssim(plane, little) == pytest.approx(ssim(little, plane))
    assert 1 > ssim(plane, little) > ssim(plane, much) > 0
    assert ssim(plane, 255 - plane) < 0


def test_flicker_counts_only_still_pixels() -> None:
    still = np.full((8, 8), 90, np.uint8)
    moving = still.copy()
    moving[:4] = 200
    truth = [still, moving, moving]
    shaking = [truth[0], truth[1] + np.uint8(3), truth[2]]
    assert flicker(shaking, truth) == pytest.approx(3)
    assert flicker(truth, truth) == 0


def test_flicker_is_none_without_still_pixels() -> None:
    dark, light = np.zeros((8, 8), np.uint8), np.full((8, 8), 255, np.uint8)
    assert flicker([dark, dark], [dark, light]) is None
    assert flicker([dark], [dark]) is None


def test_pictures_of_different_or_too_small_size_raise_input_error() -> None:
    with pytest.raises(InputError, match="the same size"):
        psnr(noise((20, 20)), noise((20, 21)))
    with pytest.raises(InputError, match="too small"):
        ssim(noise((18, 40)), noise((18, 40)))


@pytest.mark.shared
def test_lpips_of_authors_examples_equals_published_values(features: Path) -> None:
    lpips = Lpips(features / "lpips_alexnet_fp32.npz")
    reference, far, near = (
        np.ascontiguousarray(read_picture(features / "lpips_check" / name).pixels[..., ::-1], np.uint8)
        for name in ("ex_ref.png", "ex_p0.png", "ex_p1.png")
    )
    assert lpips(far, reference) == pytest.approx(0.722, abs=5e-4)
    assert lpips(near, reference) == pytest.approx(0.138, abs=5e-4)
    assert lpips(reference, reference) == 0
    assert lpips(reference, far) == pytest.approx(lpips(far, reference))


@pytest.mark.shared
def test_lpips_cache_does_not_change_results(features: Path) -> None:
    lpips = Lpips(features / "lpips_alexnet_fp32.npz")
    pictures = [noise((40, 48, 3), seed) for seed in range(7)]
    first = [lpips(pictures[0], truth) for truth in pictures]
    assert [lpips(pictures[0], truth) for truth in pictures] == first
    with pytest.raises(InputError, match="31"):
        lpips(pictures[0][:30], pictures[1][:30])


def test_unusable_lpips_weights_are_refused(tmp_path: Path) -> None:
    empty, junk, other, bare = (tmp_path / name for name in ("empty.npz", "junk.npz", "other.npz", "bare.npy"))
    empty.touch()
    junk.write_bytes(b"not an archive")
    np.savez(other, weights=np.zeros(3))
    np.save(bare, np.zeros(3))
    for path in (empty, junk, other, bare, tmp_path / "missing.npz"):
        with pytest.raises(WeightsError, match=path.name):
            Lpips(path)


def test_pickled_lpips_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "pickled.npz"
    np.savez(path, **{"conv0.weight": np.array([{"a": 1}], object)})  # type: ignore[arg-type]
    with pytest.raises(WeightsError, match="allow_pickle"):
        Lpips(path)
