import numpy as np
import pytest

from deepclarity.errors import WeightsError
from deepclarity.models.generator import FOLD, Turbo, bilinear_kernel, check_shapes, untrained

NET = Turbo(layers=2, channels=8, scales=(2, 3, 4))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_bilinear_kernel_keeps_brightness_and_reads_one_pixel_beyond_the_cell(scale):
    kernel = bilinear_kernel(scale)
    assert kernel.shape == ((FOLD * scale) ** 2, 1, 6, 6)
    np.testing.assert_allclose(kernel.sum(axis=(1, 2, 3)), 1, atol=1e-6)
    assert not kernel[:, :, [0, -1], :].any()
    assert not kernel[:, :, :, [0, -1]].any()


def test_untrained_weights_repeat_themselves_and_end_in_zero():
    first, again = untrained(NET, seed=3), untrained(NET, seed=3)
    assert all(np.array_equal(first[key], again[key]) for key in first)
    assert not any(value.any() for key, value in first.items() if key.startswith("tail"))
    assert first["stem.weight"].std() > 0.1


def test_parameters_are_counted_over_all_scales():
    assert NET.parameters == sum(value.size for value in untrained(NET).values())


def test_reach_is_whole_cells():
    assert NET.reach_px % FOLD == 0
    assert NET.reach_px >= 2 + FOLD * NET.layers


def test_tensors_of_another_architecture_are_refused_by_name():
    tensors = untrained(NET)
    tensors["body.1.weight"] = tensors["body.1.weight"][:4]
    with pytest.raises(WeightsError, match=r"body\.1\.weight"):
        check_shapes(NET, tensors, name="small")


def test_a_tensor_too_many_is_refused():
    with pytest.raises(WeightsError, match="extra"):
        check_shapes(NET, {**untrained(NET), "extra": np.zeros(1, np.float32)}, name="small")
