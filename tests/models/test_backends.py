import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch

from deepclarity.errors import DeviceError, InputError, UsageError, WeightsError
from deepclarity.models.backends.lanczos import Lanczos
from deepclarity.models.backends.openvino import OpenVinoGenerator
from deepclarity.models.backends.tiling import enlarge_tiled
from deepclarity.models.backends.torch import TorchGenerator
from deepclarity.models.compat import import_torchvision
from deepclarity.models.generator import Generator, Tensors, initial_weights
from deepclarity.models.load import load_enhancer
from deepclarity.models.train.enhancer.calibration import int8_ranges
from deepclarity.models.verdict import Plane

NET = Generator("turbo", blocks=2, channels=16, scales=(2, 3, 4), fold=2)
NETS = [
    NET,
    Generator("turbo", blocks=2, channels=16, scales=(2, 3, 4)),
    Generator("separable", blocks=2, channels=16, scales=(2, 3, 4)),
    Generator("separable", blocks=1, channels=16, scales=(2, 3, 4), fold=2),
]
SIZES = [(24, 32), (23, 31), (1, 1), (2, 5)]

cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device here")


def trained(net: Generator = NET) -> Tensors:
    """Weights with a residual large enough to change the result."""
    rng = np.random.default_rng(5)
    tensors = initial_weights(net)
    for key, value in tensors.items():
        if key.startswith("tail") or key.endswith("bias"):
            tensors[key] = value + rng.normal(0, 0.05, value.shape).astype(np.float32)
    return tensors


def picture(size: tuple[int, int], max_value: int = 255) -> Plane:
    dtype = np.uint8 if max_value == 255 else np.uint16
    return np.random.default_rng(1).integers(0, max_value + 1, size).astype(dtype)


def largest_difference(first: Plane, second: Plane) -> int:
    assert (first.shape, first.dtype) == (second.shape, second.dtype)
    return int(np.abs(first.astype(np.int32) - second).max())


@pytest.mark.parametrize("max_value", [255, 1023, 65535])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("net", "scale"), [(net, scale) for net in NETS for scale in net.scales])
def test_openvino_float32_agrees_with_torch_within_one_level(net, scale, size, max_value):
    luma = picture(size, max_value)
    by_torch = TorchGenerator(net, trained(net))(luma, scale=scale, max_value=max_value)
    by_openvino = OpenVinoGenerator(net, trained(net), precision="f32")(luma, scale=scale, max_value=max_value)
    assert by_torch.shape == (size[0] * scale, size[1] * scale)
    assert largest_difference(by_torch, by_openvino) <= 1


@pytest.mark.parametrize("net", NETS)
def test_bfloat16_stays_within_three_levels_of_float32(net):
    luma = cv2.GaussianBlur(picture((46, 63)), (0, 0), 1.5)
    exact = OpenVinoGenerator(net, trained(net), precision="f32")(luma, scale=4)
    assert largest_difference(OpenVinoGenerator(net, trained(net), precision="bf16")(luma, scale=4), exact) <= 3


@pytest.mark.parametrize("net", NETS[:2])
def test_calibrated_int8_stays_close_to_float32(net):
    luma = cv2.GaussianBlur(picture((46, 63)), (0, 0), 1.5)
    tensors, exact = trained(net), OpenVinoGenerator(net, trained(net), precision="f32")(luma, scale=4)
    calibrated = OpenVinoGenerator(net, tensors, int8_ranges=int8_ranges(net, tensors, [luma]))
    assert calibrated.backend == "openvino int8"
    off = np.abs(calibrated(luma, scale=4).astype(np.int32) - exact)
    assert 0 < off.mean() < 1
    deep = (luma.astype(np.uint16) * 4).astype(np.uint16)
    in_float = OpenVinoGenerator(net, tensors, precision="f32")(deep, scale=4, max_value=1023)
    np.testing.assert_array_equal(calibrated(deep, scale=4, max_value=1023), in_float)


def test_layers_with_signed_inputs_are_not_calibrated():
    net = NETS[2]
    assert int8_ranges(net, trained(net), [picture((8, 8))]) == ()
    with pytest.raises(WeightsError, match="do not fit its layers"):
        OpenVinoGenerator(NET, trained(), int8_ranges=(1.0,))


@pytest.mark.parametrize("max_value", [255, 1023])
@pytest.mark.parametrize("backend", [TorchGenerator, OpenVinoGenerator])
@pytest.mark.parametrize("scale", NET.scales)
def test_initial_weights_give_bilinear_enlargement(scale, backend, max_value):
    luma = picture((19, 33), max_value)
    bilinear = cv2.resize(luma, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    assert largest_difference(backend(NET, initial_weights(NET))(luma, scale=scale, max_value=max_value), bilinear) <= 1


@pytest.mark.parametrize("backend", [TorchGenerator, OpenVinoGenerator])
def test_10_bit_output_stays_in_range(backend):
    luma = np.full((8, 8), 1023, np.uint16)
    luma[:, ::2] = 0
    large = backend(NET, trained())(luma, scale=4, max_value=1023)
    assert large.dtype == np.uint16
    assert large.max() <= 1023


def test_strided_view_gives_same_result_as_copy():
    enhancer = OpenVinoGenerator(NET, trained())
    padded = picture((20, 64))
    view = padded[::-1, 3:40]
    np.testing.assert_array_equal(enhancer(view, scale=2), enhancer(view.copy(), scale=2))


@pytest.mark.parametrize("backend", [TorchGenerator, OpenVinoGenerator])
def test_read_only_plane_is_accepted_and_not_modified(backend):
    luma = picture((12, 14))
    original = luma.copy()
    luma.setflags(write=False)
    large = backend(NET, trained())(luma, scale=2)
    assert large.flags.writeable
    np.testing.assert_array_equal(luma, original)


def test_result_is_not_overwritten_by_next_call_or_close():
    enhancer = OpenVinoGenerator(NET, trained())
    first = enhancer(picture((16, 16)), scale=2)
    expected = first.copy()
    enhancer(255 - picture((16, 16)), scale=2)
    enhancer.close()
    np.testing.assert_array_equal(first, expected)
    np.testing.assert_array_equal(enhancer(picture((16, 16)), scale=2), expected)


def test_alternating_sizes_give_same_results_as_separate_enhancers():
    shared, sizes = OpenVinoGenerator(NET, trained()), [(8, 8 + 2 * i) for i in range(9)]
    for size in [*sizes, *sizes]:
        alone = OpenVinoGenerator(NET, trained())(picture(size), scale=2)
        np.testing.assert_array_equal(shared(picture(size), scale=2), alone)


def test_lanczos_accepts_any_integer_scale_and_keeps_10_bit_range():
    luma = picture((9, 11), 1023)
    large = Lanczos()(luma, scale=5, max_value=1023)
    assert (large.shape, large.dtype) == ((45, 55), np.uint16)
    assert large.max() <= 1023
    with pytest.raises(UsageError):
        Lanczos()(luma, scale=0, max_value=1023)


@pytest.mark.parametrize(
    "luma", [np.zeros((0, 4), np.uint8), np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.float32)]
)
def test_invalid_plane_raises_input_error(luma):
    tensors = initial_weights(NET)
    for enhancer in (Lanczos(), OpenVinoGenerator(NET, tensors), TorchGenerator(NET, tensors)):
        with pytest.raises(InputError):
            enhancer(luma, scale=2)


def test_untrained_scale_is_refused_and_lists_trained_scales():
    with pytest.raises(UsageError, match="2, 3, 4, not by 5"):
        load_enhancer("turbo", device="cpu")(picture((8, 8)), scale=5)


class OutOfMemoryError(Exception):
    pass


@pytest.mark.parametrize("size", [(150, 101), (90, 203)])
def test_tiled_enlargement_equals_untiled(size):
    enhancer, luma = TorchGenerator(NET, trained()), picture(size)

    def limited(tile: Plane) -> Plane:
        if tile.size > 8000:
            raise OutOfMemoryError
        return enhancer(tile, scale=3)

    refusals: list[int] = []
    tiled = enlarge_tiled(
        limited, luma, scale=3, receptive_radius_px=NET.receptive_radius_px, out_of_memory=OutOfMemoryError,
        on_out_of_memory=lambda: refusals.append(1),
    )  # fmt: skip
    assert len(refusals) >= 1
    # Sums in another order may be rounded differently.
    assert largest_difference(tiled, enhancer(luma, scale=3)) <= 1


def test_tiling_without_any_memory_raises_device_error():
    def no_memory(_: Plane) -> Plane:
        raise OutOfMemoryError

    with pytest.raises(DeviceError, match="out of device memory"):
        enlarge_tiled(
            no_memory,
            picture((200, 200)),
            scale=2,
            receptive_radius_px=8,
            out_of_memory=OutOfMemoryError,
            on_out_of_memory=lambda: None,
        )


def test_unknown_name_device_or_backend_suggests_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'turbo'"):
        load_enhancer("trubo")
    with pytest.raises(UsageError, match="cuda:0"):
        load_enhancer("turbo", device="cuda:x")
    with pytest.raises(UsageError, match="did you mean 'openvino'"):
        load_enhancer("turbo", backend="openvine")
    with pytest.raises(UsageError, match="runs on the CPU"):
        load_enhancer("turbo", device="cuda", backend="openvino")


def test_missing_gpu_raises_device_error():
    with pytest.raises(DeviceError, match="--device cpu"):
        load_enhancer("turbo", device="cuda:63")


def test_openvino_on_cpu_does_not_import_torch():
    program = (
        "import sys; from deepclarity.models.load import load_enhancer;"
        "print(load_enhancer('auto', device='cpu').backend, 'torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("openvino ")
    assert result.stdout.split()[-1] == "False"


def test_torchvision_can_be_imported_and_run():
    torchvision = import_torchvision()
    assert import_torchvision() is torchvision
    network = torchvision.models.mobilenet_v3_small(weights=None).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)


@pytest.mark.gpu
@cuda
@pytest.mark.parametrize("max_value", [255, 1023])
@pytest.mark.parametrize(("net", "scale"), [(net, scale) for net in NETS for scale in net.scales])
def test_cuda_agrees_with_the_cpu(net, scale, max_value):
    on_gpu = TorchGenerator(net, trained(net), device="cuda")
    for size in SIZES:
        luma = picture(size, max_value)
        exact = TorchGenerator(net, trained(net))(luma, scale=scale, max_value=max_value)
        allowed = 2 * (max_value + 1) // 256
        assert largest_difference(on_gpu(luma, scale=scale, max_value=max_value), exact) <= allowed
    on_gpu.close()


@pytest.mark.gpu
@cuda
def test_weights_that_overflow_float16_run_in_float32(caplog):
    tensors = trained()
    tensors["stem.weight"] *= 1e6
    tensors["body.0.weight"] *= 1e-6
    assert TorchGenerator(NET, tensors, device="cuda").backend == "torch cuda fp32"
    assert "float16" in caplog.text
