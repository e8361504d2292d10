import numpy as np
import pytest

from deepclarity.errors import WeightsError
from deepclarity.models.generator import Generator, bilinear_kernel, check_shapes, initial_weights

NETS = [
    Generator(family, blocks=2, channels=8, scales=(2, 3, 4), fold=fold)
    for family in ("turbo", "separable")
    for fold in (1, 2)
]
SMALL = NETS[0]


@pytest.mark.parametrize("fold", [1, 2])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bilinear_kernel_keeps_brightness_and_reaches_one_pixel_beyond_the_cell(scale, fold):
    kernel = bilinear_kernel(scale, fold=fold)
    assert kernel.shape == ((fold * scale) ** 2, 1, 3 * fold, 3 * fold)
    np.testing.assert_allclose(kernel.sum(axis=(1, 2, 3)), 1, atol=1e-6)
    beyond = fold - 1
    inside = kernel[:, :, beyond : 3 * fold - beyond, beyond : 3 * fold - beyond]
    np.testing.assert_allclose(inside.sum(axis=(1, 2, 3)), 1, atol=1e-6)


@pytest.mark.parametrize("net", NETS)
def test_initial_weights_are_reproducible_and_tails_are_zero(net):
    first, again = initial_weights(net, seed=3), initial_weights(net, seed=3)
    assert all(np.array_equal(first[key], again[key]) for key in first)
    assert not any(value.any() for key, value in first.items() if key.startswith("tail"))
    assert first["stem.weight"].std() > 0.1


@pytest.mark.parametrize("net", NETS)
def test_parameters_include_all_scales(net):
    assert net.parameters == sum(value.size for value in initial_weights(net).values())


def test_macs_per_pixel_equal_manual_count():
    net = Generator("separable", blocks=1, channels=8, scales=(4,))
    pair = 8 * 9 + 8 * 8
    assert net.macs_per_pixel(4) == 9 * 8 + 2 * pair + 8 * 9 * 16
    folded = Generator("turbo", blocks=1, channels=8, scales=(4,), fold=2)
    assert folded.macs_per_pixel(4) == (36 * 8 + 8 * 8 * 9 + 8 * 64) / 4


@pytest.mark.parametrize("net", NETS)
def test_receptive_radius_is_an_even_number_of_cells_and_large_enough(net):
    convolutions = 2 if net.family == "turbo" else 4
    assert net.receptive_radius_px % (2 * net.fold) == 0
    assert net.receptive_radius_px >= net.fold * (convolutions + 2)


def test_check_shapes_names_tensor_of_wrong_shape():
    tensors = initial_weights(SMALL)
    tensors["body.1.weight"] = tensors["body.1.weight"][:4]
    with pytest.raises(WeightsError, match=r"body\.1\.weight"):
        check_shapes(SMALL, tensors, name="small")


def test_check_shapes_refuses_extra_tensor():
    with pytest.raises(WeightsError, match="extra"):
        check_shapes(SMALL, {**initial_weights(SMALL), "extra": np.zeros(1, np.float32)}, name="small")
