"""`lattice-net`: what it finds, what it looks at, and its network in both forms."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from deepclarity.errors import WeightsError
from deepclarity.models.detectors.crops import CROP_PX, CROPS, EVIDENCE, Look
from deepclarity.models.detectors.lattice import without_rhythm
from deepclarity.models.detectors.lattice_net import CLASSES, LatticeNet, seen, shapes
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


def found_in(luma: Plane, *, max_value: int = 255) -> tuple[tuple[float, float], ...]:
    """(period, phase) along x and y."""
    steps = gradient_profiles(luma, max_value=max_value)
    pair = search(steps[0].profile, steps[1].profile)
    assert pair is not None
    return tuple((float(lattice.period_px), float(lattice.phase_px)) for lattice in pair)


@pytest.mark.parametrize("block", [1.5, 2, 2.25, 2.5, 3, 4, 5.3333333, 6, 8, 16, 20])
def test_the_search_finds_square_blocks(block: float) -> None:
    across, down = found_in(blocks_of((block, block)))
    assert across[0] == pytest.approx(block, rel=0.005)
    assert down[0] == pytest.approx(block, rel=0.005)


@pytest.mark.parametrize("phase", [(0.0, 0.0), (1.0, 3.0), (4.0, 2.0)])
def test_the_search_finds_where_blocks_begin(phase: tuple[float, float]) -> None:
    across, down = found_in(blocks_of((5, 5), phase=phase))
    for (_, begins), wanted in zip((across, down), phase, strict=True):
        assert abs((begins - wanted + 2.5) % 5 - 2.5) < 0.51


def test_the_search_finds_oblong_blocks() -> None:
    across, down = found_in(blocks_of((6, 4)))
    assert (across[0], down[0]) == (pytest.approx(6, rel=0.005), pytest.approx(4, rel=0.005))


@pytest.mark.parametrize("block", [1.5, 2, 3, 5])
def test_blocks_are_found_below_the_grid_of_jpeg(block: float) -> None:
    luma = blocks_of((block, block))
    half = np.full((240, 240), 128, np.uint8)
    coded = jpeg((luma, half, half), 90)[0]
    across, down = found_in(coded)
    assert (across[0], down[0]) == (pytest.approx(block, rel=0.01), pytest.approx(block, rel=0.01))


def test_ten_bits_are_seen_like_eight() -> None:
    luma = blocks_of((3, 3))
    assert found_in(luma.astype(np.uint16) * 4, max_value=1020) == found_in(luma)


@pytest.mark.parametrize("shape", [(13, 40), (96, 200), (200, 513), (540, 700)])
def test_steps_are_clipped_differences_of_some_lines_of_each_band(shape: tuple[int, int]) -> None:
    luma = np.random.default_rng(4).integers(100, 130, shape, np.uint8)
    across, down = gradient_profiles(luma)
    height, width = shape
    assert across.line.shape == (width - 1,)
    assert down.line.shape == (height - 1,)
    clipped = np.minimum(np.abs(np.diff(luma.astype(int), axis=0)), 15)
    for band, means in enumerate(down.bands):
        wide = width // len(down.bands)
        lines = next(lines for lines in (32, 16, 8) if lines <= wide)
        left = band * wide + (wide - lines) // 2
        np.testing.assert_allclose(means, clipped[:, left : left + lines].mean(axis=1), atol=1e-5)
    for axis in (across, down):
        np.testing.assert_allclose(axis.line, axis.bands.mean(axis=0), atol=1e-4)
        assert abs(axis.profile.mean()) < 1e-5
        assert axis.profile.std() == pytest.approx(1, abs=1e-4)
    for means in across.bands:
        # Whole numbers over so many lines.
        assert np.array_equal(means * 32, np.rint(means * 32))


def test_what_repeats_with_a_codec_can_be_taken_out() -> None:
    rng = np.random.default_rng(6)
    noise, rhythm = rng.normal(size=500).astype(np.float32), rng.normal(size=16).astype(np.float32)
    np.testing.assert_allclose(without_rhythm(noise + np.resize(rhythm, 500)), without_rhythm(noise), atol=1e-5)
    assert np.abs(without_rhythm(np.resize(rhythm, 500))).max() < 1e-5
    assert np.array_equal(without_rhythm(noise[:15]), noise[:15])


def test_nothing_is_found_where_nothing_changes() -> None:
    assert seen(np.full((200, 300), 90, np.uint8)) is None


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (12, 12), (13, 13), (14, 700), (31, 47), (64, 64), (97, 1203)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_size_gets_a_verdict(shape: tuple[int, int], dtype: type) -> None:
    top = 255 if dtype is np.uint8 else 1023
    luma = np.random.default_rng(1).integers(0, top + 1, shape).astype(dtype)
    verdict = LatticeNet()(luma, max_value=top)
    assert 0 <= verdict.score <= 1
    assert not verdict.pixelated


def test_strides_do_not_matter() -> None:
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
    told = [detector(view) for view in (luma, *views)]
    assert all(one == other for one, other in pairwise(told))


@pytest.mark.parametrize("block", [2, 3, 4, 7])
def test_blocks_are_called_so_and_measured(block: int, painting: Rgb) -> None:
    luma = np.asarray(cv2.cvtColor(painting, cv2.COLOR_RGB2GRAY), np.uint8)
    verdict = LatticeNet()(pixelate(luma, block_px=block))
    assert verdict.pixelated
    assert verdict.blocks is not None
    assert (verdict.blocks.width_px, verdict.blocks.height_px) == (pytest.approx(block), pytest.approx(block))


def test_drawings_as_they_are_and_enlarged_smoothly_are_not_pixelated() -> None:
    detector, luma = LatticeNet(), photo(2, 480)[0]
    large = cv2.resize(luma[:160, :160], (480, 480), interpolation=cv2.INTER_CUBIC)
    for picture in (luma, np.asarray(large, np.uint8), cv2.GaussianBlur(luma, (0, 0), 2)):
        assert detector(np.asarray(picture, np.uint8)).score < 0.5


def random_network() -> LatticeNetwork:
    torch.manual_seed(3)
    network = LatticeNetLearner().network().eval()
    assert isinstance(network, LatticeNetwork)
    network.scaling.running_mean = torch.randn(EVIDENCE)
    network.scaling.running_var = torch.rand(EVIDENCE) + 0.5
    return network


def looks(count: int = 4) -> list[Look]:
    found = [seen(blocks_of((2 + number, 2 + number), side=300, number=number)) for number in range(count)]
    assert all(found)
    return [each[0] for each in found if each is not None]


def as_arrays(look: Look) -> Arrays:
    return {name: getattr(look, name)[None] for name in ("crops", "edges_x", "edges_y", "evidence")}


def logits_of(network: LatticeNetwork, arrays: Arrays) -> NDArray[np.float32]:
    with torch.inference_mode():
        return network({name: torch.from_numpy(array) for name, array in arrays.items()}).numpy()


def test_the_graph_computes_what_was_trained() -> None:
    network = random_network()
    graph = OpenVinoLatticeNet(LatticeNetLearner().stored(network, shift=0.0), precision="f32")
    told = [graph(look) for look in looks()]
    assert np.ptp(told, axis=0).min() > 1e-3
    for look, logits in zip(looks(), told, strict=True):
        np.testing.assert_allclose(logits, logits_of(network, as_arrays(look))[0], atol=1e-4)


def test_a_shift_moves_the_logit_of_pixelated_alone() -> None:
    learner, network = LatticeNetLearner(), random_network()
    plain, moved = (learner.stored(network, shift=shift)["logits.bias"] for shift in (0.0, 1.5))
    np.testing.assert_allclose(moved - plain, [1.5 if kind is Kind.PIXELATED else 0 for kind in CLASSES], atol=1e-6)


def test_weights_of_another_shape_are_refused() -> None:
    tensors = {name: np.zeros(shape, np.float32) for name, shape in shapes().items()}
    with pytest.raises(WeightsError, match=r"hidden\.bias"):
        LatticeNet(tensors | {"hidden.bias": np.zeros(3, np.float32)})
    with pytest.raises(WeightsError, match="not finite"):
        LatticeNet(tensors | {"hidden.bias": np.full(tensors["hidden.bias"].shape, np.nan, np.float32)})


def test_mirrored_crops_keep_their_edges_on_their_steps() -> None:
    look = looks(1)[0]
    batch = {name: np.repeat(array, 32, axis=0) for name, array in as_arrays(look).items()}
    turned = LatticeNetLearner().augmented(batch, np.random.default_rng(5))
    assert len(np.unique(turned["crops"].reshape(32, -1), axis=0)) == 8
    for crops, edges_x, edges_y in zip(turned["crops"], turned["edges_x"], turned["edges_y"], strict=True):
        for crop, across, down in zip(crops.astype(int), edges_x > 0, edges_y > 0, strict=True):
            # Blocks change nowhere but at their edges.
            assert not np.abs(np.diff(crop, axis=1))[:, ~across[1:]].any()
            assert not np.abs(np.diff(crop, axis=0))[~down[1:]].any()


def test_a_look_has_the_promised_shapes() -> None:
    for look in looks():
        assert look.crops.shape == (CROPS, CROP_PX, CROP_PX)
        assert look.edges_x.shape == look.edges_y.shape == (CROPS, CROP_PX)
        assert look.evidence.shape == (EVIDENCE,)
        assert np.isfinite(look.evidence).all()


def dots(height: int, width: int, share: float) -> Luma:
    return np.where(np.random.default_rng(2).random((height, width)) < share, 255, 16).astype(np.uint8)


@pytest.mark.parametrize(
    "luma", [dots(13, 13, 0.5), dots(13, 4000, 0.1), dots(700, 13, 0.1), dots(300, 400, 0.001), dots(200, 200, 3e-5)]
)
def test_odd_pictures_give_finite_numbers(luma: Luma) -> None:
    found = seen(luma)
    if found is None:
        assert np.count_nonzero(luma > 16) < 5
        return
    assert found[0].evidence.shape == (EVIDENCE,)
    assert np.isfinite(found[0].evidence).all()


def test_pixel_art_counts_only_if_asked() -> None:
    tensors = {name: np.zeros(shape, np.float32) for name, shape in shapes().items()}
    tensors["logits.bias"][CLASSES.index(Kind.PIXEL_ART)] = 9
    luma = blocks_of((4, 4), side=200)
    assert LatticeNet(tensors)(luma).kind is Kind.PIXEL_ART
    assert LatticeNet(tensors, pixel_art=True)(luma).kind is Kind.PIXELATED
