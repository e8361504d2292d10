from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from deepclarity.errors import InputError, UsageError
from deepclarity.models.detectors import DETECTORS, load_detector
from deepclarity.models.detectors.lattice import is_scorable
from deepclarity.models.verdict import Kind, Plane


@pytest.mark.parametrize("name", DETECTORS)
def test_every_method_loads_by_name(name: str) -> None:
    assert load_detector(name).name == name


def test_loaded_detector_scores_a_flat_picture_as_clean() -> None:
    verdict = load_detector("grid")(np.zeros((64, 64), np.uint8))
    assert 0.0 <= verdict.score < 0.5
    assert not verdict.pixelated


def test_mistyped_method_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="'girds'; did you mean 'grid'"):
        load_detector("girds")


def test_unknown_method_lists_known_methods() -> None:
    with pytest.raises(UsageError, match=r"known: .*grid"):
        load_detector("zzzzzz")


def test_listing_methods_imports_no_heavy_modules() -> None:
    code = (
        "import sys, deepclarity.models.detectors as d; assert 'grid' in d.DETECTORS;"
        "heavy = ('torch', 'openvino', 'av', 'deepclarity.models.detectors.grid');"
        "print([module for module in heavy if module in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


INVALID = [
    np.zeros((0, 5), np.uint8),
    np.zeros((40, 40, 3), np.uint8),
    np.zeros((40, 40), np.float32),
    np.zeros((40, 40), np.int32),
    np.zeros((40, 40), ">u2"),
]


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("invalid", INVALID, ids=lambda invalid: f"{invalid.shape} {invalid.dtype.str}")
def test_invalid_luma_raises_input_error(name: str, invalid: Plane) -> None:
    with pytest.raises(InputError):
        load_detector(name)(invalid)


@pytest.mark.parametrize("name", DETECTORS)
def test_max_value_that_does_not_fit_dtype_raises_input_error(name: str) -> None:
    with pytest.raises(InputError, match="max_value 63"):
        load_detector(name)(np.zeros((40, 40), np.uint8), max_value=63)


NOT_SCORABLE = [
    np.zeros((1, 1), np.uint8),
    np.full((12, 500), 90, np.uint8),
    np.random.default_rng(2).integers(0, 256, (500, 12), np.uint8),
    np.zeros((270, 480), np.uint8),
    np.full((270, 480), 940, np.uint16),
]


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("luma", NOT_SCORABLE, ids=lambda luma: f"{luma.shape} {luma.dtype}")
def test_flat_or_too_small_picture_is_clean(name: str, luma: Plane) -> None:
    verdict = load_detector(name)(luma, max_value=255 if luma.dtype == np.uint8 else 1023)
    assert verdict.score < 0.5
    assert verdict.kind is Kind.CLEAN
    assert verdict.blocks is None


def test_one_different_pixel_makes_a_picture_scorable() -> None:
    luma = np.zeros((270, 480), np.uint8)
    assert not is_scorable(luma)
    luma[200, 7] = 1
    assert is_scorable(luma)


@pytest.mark.parametrize("name", DETECTORS)
def test_detector_gives_same_verdicts_from_several_threads(name: str) -> None:
    detector, small = load_detector(name), np.random.default_rng(1).integers(0, 256, (60, 80), np.uint8)
    pictures = [np.kron(small, np.ones((4, 4), np.uint8)), np.kron(small, np.ones((2, 2), np.uint8)), small]
    expected = [detector(picture) for picture in pictures]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(detector, pictures * 12))
    assert found == expected * 12
