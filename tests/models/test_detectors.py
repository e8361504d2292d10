from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from deepclarity.errors import InputError, UsageError
from deepclarity.models.detectors import DETECTORS, load_detector
from deepclarity.models.verdict import Plane


@pytest.mark.parametrize("name", DETECTORS)
def test_every_known_method_loads_under_its_own_name(name: str) -> None:
    assert load_detector(name).name == name


def test_a_loaded_detector_judges_a_picture() -> None:
    verdict = load_detector("grid")(np.zeros((64, 64), np.uint8))
    assert 0.0 <= verdict.score < 0.5
    assert not verdict.pixelated


def test_a_mistyped_method_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="'girds'; did you mean 'grid'"):
        load_detector("girds")


def test_a_wild_guess_lists_what_there_is() -> None:
    with pytest.raises(UsageError, match=r"known: .*grid"):
        load_detector("zzzzzz")


def test_listing_the_methods_loads_none_of_them() -> None:
    code = (
        "import sys, deepclarity.models.detectors as d; assert 'grid' in d.DETECTORS;"
        "heavy = ('torch', 'openvino', 'av', 'deepclarity.models.detectors.grid');"
        "print([module for module in heavy if module in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


ODD = [
    np.zeros((0, 5), np.uint8),
    np.zeros((40, 40, 3), np.uint8),
    np.zeros((40, 40), np.float32),
    np.zeros((40, 40), np.int32),
    np.zeros((40, 40), ">u2"),
]


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("odd", ODD, ids=lambda odd: f"{odd.shape} {odd.dtype.str}")
def test_what_is_no_luma_is_refused(name: str, odd: Plane) -> None:
    with pytest.raises(InputError):
        load_detector(name)(odd)


@pytest.mark.parametrize("name", DETECTORS)
def test_a_range_that_the_samples_cannot_have_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="max_value 63"):
        load_detector(name)(np.zeros((40, 40), np.uint8), max_value=63)


@pytest.mark.parametrize("name", DETECTORS)
def test_threads_may_share_a_detector(name: str) -> None:
    detector, small = load_detector(name), np.random.default_rng(1).integers(0, 256, (60, 80), np.uint8)
    pictures = [np.kron(small, np.ones((4, 4), np.uint8)), np.kron(small, np.ones((2, 2), np.uint8)), small]
    alone = [detector(picture) for picture in pictures]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(detector, pictures * 12))
    assert together == alone * 12
