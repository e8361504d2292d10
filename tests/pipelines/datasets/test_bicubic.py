from pathlib import Path

import numpy as np
import pytest

from deepclarity.pipelines.datasets.bicubic import enlarge_bicubic, reduce_bicubic
from deepclarity.stream.files.still import read_picture


def test_bicubic_reduction_keeps_flats_and_ramps_without_aliasing():
    assert (reduce_bicubic(np.full((24, 36), 77, np.uint8), 3) == 77).all()
    ramp = np.tile(np.arange(0, 240, 2, dtype=np.uint8), (24, 1))
    np.testing.assert_allclose(reduce_bicubic(ramp, 4)[3, 3:-3], 4 * 2 * np.arange(3, 27) + 3, atol=1)
    stripes = np.tile(np.array([0, 255], np.uint8), (48, 24))
    assert np.abs(reduce_bicubic(stripes, 4)[:, 2:-2].astype(int) - 128).max() <= 4


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_enlargement_keeps_flats_and_ramps_in_place(scale):
    np.testing.assert_allclose(enlarge_bicubic(np.full((5, 7), 9.0), scale), 9)
    ramp = np.tile(np.arange(12.0), (4, 1))
    large = enlarge_bicubic(ramp, scale)
    expected = (np.arange(12 * scale) + 0.5) / scale - 0.5
    np.testing.assert_allclose(large[0, 2 * scale : -2 * scale], expected[2 * scale : -2 * scale], atol=1e-9)


def test_bicubic_reduction_equals_the_test_sets_bit_for_bit():
    folder = Path(__file__).parents[4] / "shared" / "data" / "test_images" / "set5"
    if not folder.is_dir():
        pytest.skip("Set5 is not beside this checkout: the reduction goes uncompared")
    names = sorted(path.name for path in (folder / "hr").iterdir())
    for name in names:
        large, small = (read_picture(folder / side / name).pixels for side in ("hr", "lr_x4"))
        found = np.stack([reduce_bicubic(large[..., channel], 4) for channel in range(3)], axis=-1)
        off = np.abs(found.astype(int) - small)
        assert off.max() <= 1
        assert (off > 0).mean() < 0.05
    assert len(names) == 5
