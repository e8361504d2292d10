from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from deepclarity.errors import UsageError
from deepclarity.models.detectors import DETECTORS, load_detector


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
