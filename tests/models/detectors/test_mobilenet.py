from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from deepclarity.errors import WeightsError
from deepclarity.models.detectors import load_detector
from deepclarity.models.detectors.mobilenet import CannyMobileNet, MobileNet, preprocess_edges, preprocess_rgb
from deepclarity.models.detectors.mobilenet_openvino import OpenVinoMobileNet
from deepclarity.models.detectors.mobilenet_v3 import check_shapes, layers
from deepclarity.models.generator import Tensors
from deepclarity.models.train.detector.mobilenet import (
    CannyMobileNetLearner,
    MobileNetLearner,
    MobileNetV3,
    fold_batch_norm,
)
from deepclarity.models.verdict import Blocks, Kind, Plane
from deepclarity.models.weights import read_manifest

METHODS = [(MobileNet, MobileNetLearner), (CannyMobileNet, CannyMobileNetLearner)]
NAMES = [method.name for method, _ in METHODS]
SIZES = [(1, 1), (1, 9), (300, 2), (224, 224), (225, 640), (1081, 1919)]


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)


def constant_weights(inputs: int, *, pixelated: float) -> Tensors:
    """Weights that give the same logits for every picture."""
    shapes = {key: shape for layer in layers(inputs, 2) for key, shape in layer.shapes.items()}
    tensors = {key: np.zeros(shape, np.float32) for key, shape in shapes.items()}
    tensors["logits.bias"] = np.array([0, pixelated], np.float32)
    return tensors


def random_network(learner: MobileNetLearner) -> MobileNetV3:
    """A network with random batch normalisation statistics and last layers, so that logits differ between pictures."""
    torch.manual_seed(0)
    network = learner.network()
    assert isinstance(network, MobileNetV3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.uniform_(module.weight, 0.8, 1.6)
            nn.init.normal_(module.bias, 0, 0.3)
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.1, 0.6)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, 0.1)
            nn.init.normal_(module.bias, 0, 0.3)
    return network.eval()


@pytest.mark.parametrize(("method", "learner"), METHODS, ids=NAMES)
def test_openvino_graph_equals_torchvision_network(method: type, learner: type[MobileNetLearner]) -> None:
    trainer = learner()
    network, inputs = random_network(trainer), trainer.architecture["inputs"]
    graph = OpenVinoMobileNet(
        fold_batch_norm(network.inner, **trainer.architecture), **trainer.architecture, centre=trainer.centre,
        name="random", precision="f32",
    )  # fmt: skip
    pictures = np.stack([cv2.blur(noise(224, 224 * inputs, i), (i + 1, 1)).reshape(-1, 224, 224) for i in range(4)])
    with torch.inference_mode():
        expected = network({"seen": torch.from_numpy(pictures)}).numpy()
    found = np.stack([graph(picture) for picture in pictures])
    assert np.ptp(expected, axis=0).min() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize(("method", "learner"), METHODS, ids=NAMES)
def test_exported_weights_are_float16_and_include_the_shift(method: type, learner: type[MobileNetLearner]) -> None:
    trainer = learner()
    network = random_network(trainer)
    exact = fold_batch_norm(network.inner, **trainer.architecture)
    exported = trainer.export_tensors(network, shift=0.75)
    trainer.check(exported, name="exported")
    assert {value.dtype for value in exported.values()} == {np.dtype(np.float16)}
    np.testing.assert_allclose(exported["logits.bias"] - exact["logits.bias"], [0, 0.75], atol=1e-3)
    np.testing.assert_allclose(exported["block4.excite.weight"], exact["block4.excite.weight"], atol=2e-3)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_pictures_of_any_size_depth_and_strides_get_a_verdict(name: str, size: tuple[int, int]) -> None:
    detector, plane = load_detector(name), cv2.blur(noise(*size), (3, 3)).reshape(size)
    chroma = noise(-(-size[0] // 2), -(-size[1] // 2), 1), noise(-(-size[0] // 2), -(-size[1] // 2), 2)
    plain = detector(plane, chroma=chroma)
    assert 0 <= plain.score <= 1
    assert plain.kind is (Kind.PIXELATED if plain.score >= 0.5 else Kind.CLEAN)
    assert detector(plane).score == pytest.approx(detector(plane, chroma=grey(plane)).score, abs=1e-6)
    wide = np.repeat(plane, 2, axis=1)[:, ::2]
    assert detector(wide, chroma=chroma) == plain
    blue, red = (half.astype(np.uint16) * 4 for half in chroma)
    assert 0 <= detector(plane.astype(np.uint16) * 4, max_value=1020, chroma=(blue, red)).score <= 1


def test_10_bit_planes_are_preprocessed_like_8_bit() -> None:
    luma, (blue, red) = noise(300, 500), (noise(150, 250, 1), noise(150, 250, 2))
    deep, *halves = (plane.astype(np.uint16) * 4 for plane in (luma, blue, red))
    one, other = preprocess_rgb(luma, (blue, red)), preprocess_rgb(deep, (halves[0], halves[1]), max_value=1020)
    assert np.abs(one.astype(int) - other).max() <= 4
    np.testing.assert_array_equal(preprocess_edges(luma), preprocess_edges(deep, max_value=1020))


def grey(plane: Plane) -> tuple[Plane, Plane]:
    neutral = np.full_like(plane, 128)
    return neutral, neutral


@pytest.mark.parametrize(("method", "inputs"), [(MobileNet, 3), (CannyMobileNet, 1)], ids=NAMES)
def test_pixelated_verdict_has_the_blocks_of_grid(method: type[MobileNet], inputs: int) -> None:
    small = noise(90, 160)
    for logit, kind in ((4.0, Kind.PIXELATED), (-4.0, Kind.CLEAN)):
        verdict = method(constant_weights(inputs, pixelated=logit))(np.kron(small, np.ones((4, 4), np.uint8)))
        assert verdict.score == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-3)
        assert verdict.kind is kind
        assert verdict.blocks == (Blocks(4, 4) if kind is Kind.PIXELATED else None)
    assert method(constant_weights(inputs, pixelated=4.0))(np.full((90, 160), 90, np.uint8)).blocks is None


def test_edges_are_detected_before_the_frame_is_resized() -> None:
    stripes = np.tile(np.array([100] * 3 + [140] * 3, np.uint8), (1080, 320))
    assert cv2.resize(stripes, (224, 224), interpolation=cv2.INTER_AREA).std() < 10
    edges = preprocess_edges(stripes)
    assert (edges.shape, edges.dtype) == ((1, 224, 224), np.uint8)
    assert 60 < edges.mean() < 110
    assert preprocess_edges(np.full((1080, 1920), 60, np.uint8)).max() == 0


def test_preprocess_rgb_converts_colours_correctly() -> None:
    luma, chroma = (
        np.full((300, 500), 100, np.uint8),
        (np.full((150, 250), 90, np.uint8), np.full((150, 250), 200, np.uint8)),
    )
    red, green, blue = preprocess_rgb(luma, chroma).reshape(3, -1).mean(axis=1)
    assert red > luma[0, 0] > max(green, blue)
    assert preprocess_rgb(luma, None).std() == 0


def test_check_shapes_names_the_wrong_tensor() -> None:
    tensors = constant_weights(3, pixelated=0)
    check_shapes(tensors, 3, 2, name="good")
    with pytest.raises(WeightsError, match=r"odd: tensor 'stem.weight' has shape \(16, 3, 3, 3\), not \(16, 1, 3, 3\)"):
        check_shapes(tensors, 1, 2, name="odd")
    with pytest.raises(WeightsError, match=r"'block3\.widen\.bias' has shape None"):
        check_shapes({key: value for key, value in tensors.items() if key != "block3.widen.bias"}, 3, 2, name="odd")
    tensors["last.bias"][7] = np.nan
    with pytest.raises(WeightsError, match=r"'last\.bias' contains NaN or infinite values"):
        check_shapes(tensors, 3, 2, name="odd")


@pytest.mark.parametrize("name", NAMES)
def test_shipped_weights_are_below_size_limit(name: str) -> None:
    record = read_manifest()[name]
    assert (record.kind, record.family) == ("detector", name)
    assert record.bytes <= 5_844_000


def test_augmentation_only_flips_pictures() -> None:
    trainer, rng = MobileNetLearner(), np.random.default_rng(0)
    batch = {"seen": np.arange(16 * 3 * 4 * 4).reshape(16, 3, 4, 4)}
    flipped = trainer.augment(batch, rng)["seen"]
    np.testing.assert_array_equal(np.sort(flipped.reshape(16, -1)), batch["seen"].reshape(16, -1))
    corners = {tuple(np.argwhere(t == b[0, 0, 0])[0]) for t, b in zip(flipped, batch["seen"], strict=True)}
    assert corners == {(0, 0, 0), (0, 0, 3), (0, 3, 0), (0, 3, 3)}
