"""`lattice-net`: lattice search, crops, and its network in OpenVINO and torch."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from deepclarity.errors import WeightsError
from deepclarity.models.detectors.crops import CROP_PX, CROPS, EVIDENCE_SIZE, LatticeCrops
from deepclarity.models.detectors.lattice import remove_codec_period
from deepclarity.models.detectors.lattice_net import LatticeNet, preprocess
from deepclarity.models.detectors.lattice_net_architecture import CLASSES, shapes
from deepclarity.models.detectors.lattice_net_openvino import OpenVinoLatticeNet
from deepclarity.models.detectors.profiles import gradient_profiles
from deepclarity.models.detectors.search import search
from deepclarity.models.train.detector.lattice_net import LatticeNetLearner, LatticeNetwork
from deepclarity.models.train.detector.learner import Arrays
from deepclarity.models.verdict import Kind, Plane
from deepclarity.pipelines.datasets.degrade import jpeg
from deepclarity.pipelines.demo.scene import pixelate
from tests.conftest import Rgb
from tests.tiny_recipes import photo

Luma = NDArray[np.uint8]


def blocks_of(
    size: tuple[float, float], *, phase: tuple[float, float] = (0, 0), side: int = 480, number: int = 1
) -> Luma:
    """A drawing in blocks of (width, height)."""
    luma = photo(number, side)[0]
    across, down = (
        np.floor((np.arange(side) + 0.5 - start) / block).astype(int) for block, start in zip(size, phase, strict=True)
    )
    firsts = [np.searchsorted(index, index) for index in (across, down)]
    return np.ascontiguousarray(luma[firsts[1]][:, firsts[0]])


def lattices_in(luma: Plane, *, max_value: int = 255) -> tuple[tuple[float, float], ...]:
    """(period, phase) along x and y."""
    profiles = gradient_profiles(luma, max_value=max_value)
    pair = search(profiles[0].profile, profiles[1].profile)
    assert pair is not None
    return tuple((float(lattice.period_px), float(lattice.phase_px)) for lattice in pair)


def in_jpeg(luma: Luma, quality: int) -> Luma:
    half = np.full((luma.shape[0] // 2, luma.shape[1] // 2), 128, np.uint8)
    return jpeg((luma, half, half), quality)[0]


@pytest.mark.parametrize("block", [1.5, 2, 2.25, 2.5, 3, 4, 5.3333333, 6, 8, 16, 20])
def test_search_finds_square_blocks(block: float) -> None:
    across, down = lattices_in(blocks_of((block, block)))
    assert across[0] == pytest.approx(block, rel=0.005)
    assert down[0] == pytest.approx(block, rel=0.005)


@pytest.mark.parametrize("phase", [(0.0, 0.0), (1.0, 3.0), (4.0, 2.0)])
def test_search_finds_phase_of_blocks(phase: tuple[float, float]) -> None:
    across, down = lattices_in(blocks_of((5, 5), phase=phase))
    for (_, found), expected in zip((across, down), phase, strict=True):
        assert abs((found - expected + 2.5) % 5 - 2.5) < 0.51


def test_search_finds_oblong_blocks() -> None:
    across, down = lattices_in(blocks_of((6, 4)))
    assert (across[0], down[0]) == (pytest.approx(6, rel=0.005), pytest.approx(4, rel=0.005))


@pytest.mark.parametrize("block", [1.5, 2, 3, 5])
def test_search_finds_blocksin_jpeg(block: float) -> None:
    across, down = lattices_in(in_jpeg(blocks_of((block, block)), 90))
    assert (across[0], down[0]) == (pytest.approx(block, rel=0.01), pytest.approx(block, rel=0.01))


@pytest.mark.parametrize("block", [3.95, 4.05, 7.9, 8.05, 8.14, 8.2, 15.8, 16.1])
@pytest.mark.parametrize("coded", [False, True])
def test_search_finds_blocks_close_to_those_of_a_codec(block: float, *, coded: bool) -> None:
    """Neither a multiple of their size nor a part of it, nor the codec's own."""
    luma = blocks_of((block, block), side=960)
    for period, _ in lattices_in(in_jpeg(luma, 60) if coded else luma):
        assert period == pytest.approx(block, rel=0.01)


@pytest.mark.parametrize("block", [5.3, 6.7, 9.3, 11.7, 18.3])
def test_search_finds_the_size_itself_of_fractional_blocks(block: float) -> None:
    for period, _ in lattices_in(blocks_of((block, block), side=960)):
        assert period == pytest.approx(block, rel=0.01)


def test_search_finds_same_lattice_in_10_bit_as_in_8_bit() -> None:
    luma = blocks_of((3, 3))
    assert lattices_in(luma.astype(np.uint16) * 4, max_value=1020) == lattices_in(luma)


@pytest.mark.parametrize("shape", [(13, 40), (96, 200), (200, 513), (540, 700)])
def test_gradient_profiles_are_mean_clipped_differences_of_each_band(shape: tuple[int, int]) -> None:
    luma = np.random.default_rng(4).integers(100, 130, shape, np.uint8)
    across, down = gradient_profiles(luma)
    height, width = shape
    assert across.mean.shape == (width - 1,)
    assert down.mean.shape == (height - 1,)
    clipped = np.minimum(np.abs(np.diff(luma.astype(int), axis=0)), 15)
    for band, means in enumerate(down.bands):
        wide = width // len(down.bands)
        lines = next(lines for lines in (32, 16, 8) if lines <= wide)
        left = band * wide + (wide - lines) // 2
        np.testing.assert_allclose(means, clipped[:, left : left + lines].mean(axis=1), atol=1e-5)
    for axis in (across, down):
        np.testing.assert_allclose(axis.mean, axis.bands.mean(axis=0), atol=1e-4)
        assert abs(axis.profile.mean()) < 1e-5
        assert axis.profile.std() == pytest.approx(1, abs=1e-4)
    for means in across.bands:
        # Sums are integers: means are multiples of 1/32.
        assert np.array_equal(means * 32, np.rint(means * 32))


def test_remove_codec_period_removes_everything_periodic_in_16_pixels() -> None:
    rng = np.random.default_rng(6)
    noise, periodic = rng.normal(size=500).astype(np.float32), rng.normal(size=16).astype(np.float32)
    np.testing.assert_allclose(
        remove_codec_period(noise + np.resize(periodic, 500)), remove_codec_period(noise), atol=1e-5
    )
    assert np.abs(remove_codec_period(np.resize(periodic, 500))).max() < 1e-5
    assert np.array_equal(remove_codec_period(noise[:15]), noise[:15])


def test_flat_picture_has_no_network_input() -> None:
    assert preprocess(np.full((200, 300), 90, np.uint8)) is None


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (12, 12), (13, 13), (14, 700), (31, 47), (64, 64), (97, 1203)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_noise_of_any_size_is_not_pixelated(shape: tuple[int, int], dtype: type) -> None:
    max_value = 255 if dtype is np.uint8 else 1023
    luma = np.random.default_rng(1).integers(0, max_value + 1, shape).astype(dtype)
    verdict = LatticeNet()(luma, max_value=max_value)
    assert 0 <= verdict.score <= 1
    assert not verdict.pixelated


def test_verdict_does_not_depend_on_strides() -> None:
    detector, luma = LatticeNet(), blocks_of((3, 3), side=300)
    wide = np.zeros((300, 600), np.uint8)
    wide[:, ::2] = luma
    padded = np.zeros((300, 320), np.uint8)
    padded[:, :300] = luma
    views = [
        wide[:, ::2],
        padded[:, :300],
        np.asfortranarray(luma),
        luma[::-1].copy()[::-1],
        luma[:, ::-1].copy()[:, ::-1],
    ]
    verdicts = [detector(view) for view in (luma, *views)]
    assert all(one == other for one, other in pairwise(verdicts))


@pytest.mark.parametrize("block", [2, 3, 4, 7])
def test_pixelated_picture_is_detected_with_block_size(block: int, painting: Rgb) -> None:
    luma = np.asarray(cv2.cvtColor(painting, cv2.COLOR_RGB2GRAY), np.uint8)
    verdict = LatticeNet()(pixelate(luma, block_px=block))
    assert verdict.pixelated
    assert verdict.blocks is not None
    assert (verdict.blocks.width_px, verdict.blocks.height_px) == (pytest.approx(block), pytest.approx(block))


def test_drawing_original_enlarged_or_blurred_is_not_pixelated() -> None:
    detector, luma = LatticeNet(), photo(2, 480)[0]
    large = cv2.resize(luma[:160, :160], (480, 480), interpolation=cv2.INTER_CUBIC)
    for picture in (luma, np.asarray(large, np.uint8), cv2.GaussianBlur(luma, (0, 0), 2)):
        assert detector(np.asarray(picture, np.uint8)).score < 0.5


def random_network() -> LatticeNetwork:
    torch.manual_seed(3)
    network = LatticeNetLearner().network().eval()
    assert isinstance(network, LatticeNetwork)
    network.scaling.running_mean = torch.randn(EVIDENCE_SIZE)
    network.scaling.running_var = torch.rand(EVIDENCE_SIZE) + 0.5
    return network


def crops_of_blocks(count: int = 4) -> list[LatticeCrops]:
    found = [preprocess(blocks_of((2 + number, 2 + number), side=300, number=number)) for number in range(count)]
    assert all(found)
    return [each[0] for each in found if each is not None]


def as_arrays(crops: LatticeCrops) -> Arrays:
    return {name: getattr(crops, name)[None] for name in ("crops", "edges_x", "edges_y", "evidence")}


def logits_of(network: LatticeNetwork, arrays: Arrays) -> NDArray[np.float32]:
    with torch.inference_mode():
        return network({name: torch.from_numpy(array) for name, array in arrays.items()}).numpy()


def test_openvino_graph_equals_torch_network() -> None:
    network = random_network()
    graph = OpenVinoLatticeNet(LatticeNetLearner().export_tensors(network, shift=0.0), precision="f32")
    found = [graph(crops) for crops in crops_of_blocks()]
    assert np.ptp(found, axis=0).min() > 1e-3
    for crops, logits in zip(crops_of_blocks(), found, strict=True):
        np.testing.assert_allclose(logits, logits_of(network, as_arrays(crops))[0], atol=1e-4)


def test_export_shift_changes_only_the_bias_of_pixelated() -> None:
    learner, network = LatticeNetLearner(), random_network()
    plain, shifted = (learner.export_tensors(network, shift=shift)["logits.bias"] for shift in (0.0, 1.5))
    np.testing.assert_allclose(shifted - plain, [1.5 if kind is Kind.PIXELATED else 0 for kind in CLASSES], atol=1e-6)


def test_weights_of_wrong_shape_or_not_finite_are_refused() -> None:
    tensors = {name: np.zeros(shape, np.float32) for name, shape in shapes().items()}
    with pytest.raises(WeightsError, match=r"hidden\.bias"):
        LatticeNet(tensors | {"hidden.bias": np.zeros(3, np.float32)})
    with pytest.raises(WeightsError, match="NaN or infinite"):
        LatticeNet(tensors | {"hidden.bias": np.full(tensors["hidden.bias"].shape, np.nan, np.float32)})


def test_augmentation_keeps_edge_marks_on_block_edges() -> None:
    original = crops_of_blocks(1)[0]
    batch = {name: np.repeat(array, 32, axis=0) for name, array in as_arrays(original).items()}
    augmented = LatticeNetLearner().augment(batch, np.random.default_rng(5))
    assert len(np.unique(augmented["crops"].reshape(32, -1), axis=0)) == 8
    for crops, edges_x, edges_y in zip(augmented["crops"], augmented["edges_x"], augmented["edges_y"], strict=True):
        for crop, across, down in zip(crops.astype(int), edges_x > 0, edges_y > 0, strict=True):
            # Luma changes only at block edges.
            assert not np.abs(np.diff(crop, axis=1))[:, ~across[1:]].any()
            assert not np.abs(np.diff(crop, axis=0))[~down[1:]].any()


def test_lattice_crops_have_documented_shapes() -> None:
    for crops in crops_of_blocks():
        assert crops.crops.shape == (CROPS, CROP_PX, CROP_PX)
        assert crops.edges_x.shape == crops.edges_y.shape == (CROPS, CROP_PX)
        assert crops.evidence.shape == (EVIDENCE_SIZE,)
        assert np.isfinite(crops.evidence).all()


def dots(height: int, width: int, share: float) -> Luma:
    return np.where(np.random.default_rng(2).random((height, width)) < share, 255, 16).astype(np.uint8)


@pytest.mark.parametrize(
    "luma", [dots(13, 13, 0.5), dots(13, 4000, 0.1), dots(700, 13, 0.1), dots(300, 400, 0.001), dots(200, 200, 3e-5)]
)
def test_sparse_and_narrow_pictures_give_finite_evidence(luma: Luma) -> None:
    found = preprocess(luma)
    if found is None:
        assert np.count_nonzero(luma > 16) < 5
        return
    assert found[0].evidence.shape == (EVIDENCE_SIZE,)
    assert np.isfinite(found[0].evidence).all()


def test_pixel_art_counts_as_pixelated_only_if_requested() -> None:
    tensors = {name: np.zeros(shape, np.float32) for name, shape in shapes().items()}
    tensors["logits.bias"][CLASSES.index(Kind.PIXEL_ART)] = 9
    luma = blocks_of((4, 4), side=200)
    assert LatticeNet(tensors)(luma).kind is Kind.PIXEL_ART
    assert LatticeNet(tensors, pixel_art=True)(luma).kind is Kind.PIXELATED
