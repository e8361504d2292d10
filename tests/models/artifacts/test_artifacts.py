"""Artifact reducers: back ends, subsampling and depth, blocks that are left, and training."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from deepclarity.errors import WeightsError
from deepclarity.models.artifacts.architecture import ReducerNet, check_shapes
from deepclarity.models.artifacts.openvino import OpenVinoReducer
from deepclarity.models.artifacts.reducer import ArtifactReducer, load_reducer, reducer_name
from deepclarity.models.artifacts.torch import TorchReducer
from deepclarity.models.generator import Tensors
from deepclarity.models.train.artifacts import ArtifactArrays, ReducerRecipe, train_reducer
from deepclarity.models.verdict import Bytes, Plane
from deepclarity.stream.files.recode import recode
from tests.conftest import Rgb

NET = ReducerNet(channels=8, layers=3)
Photo = tuple[Bytes, Bytes, Bytes]


def random_tensors(seed: int = 0, net: ReducerNet = NET) -> Tensors:
    rng = np.random.default_rng(seed)
    return {key: rng.normal(0, 0.3, shape).astype(np.float32) for key, shape in net.shapes().items()}


def reducer(*, torch: bool = False) -> ArtifactReducer:
    backend = TorchReducer(NET, random_tensors()) if torch else OpenVinoReducer(NET, random_tensors())
    return ArtifactReducer("test", backend)


def planes_of(painting: Rgb, size: tuple[int, int] = (320, 192)) -> Photo:
    small = cv2.resize(painting, size, interpolation=cv2.INTER_AREA)
    flat = cv2.cvtColor(small, cv2.COLOR_RGB2YUV_I420)
    width, height = size
    chroma = flat[height:].reshape(2, height // 2, width // 2)
    return flat[:height].copy(), chroma[0].copy(), chroma[1].copy()


def psnr(one: Plane, other: Plane) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, ((one.astype(float) - other) ** 2).mean())))


@pytest.mark.parametrize("qp", [None, 40.0, np.linspace(20, 45, 12 * 20).reshape(12, 20).astype(np.float32)])
def test_back_ends_agree(painting: Rgb, qp: float | None) -> None:
    planes = planes_of(painting)
    one, other = reducer()(planes, qp=qp), reducer(torch=True)(planes, qp=qp)
    for first, second, before in zip(one, other, planes, strict=True):
        assert first.dtype == second.dtype == np.uint8
        assert first.shape == before.shape
        assert np.abs(first.astype(int) - second).max() <= 1
    assert not np.array_equal(one[0], planes[0])


@pytest.mark.parametrize("qp", [None, 40.0])
def test_results_outlive_the_next_picture(painting: Rgb, qp: float | None) -> None:
    """Frames wait in queues: a result must not change when the next one is computed."""
    repaired, planes = reducer(), planes_of(painting)
    first = repaired(planes, qp=qp)
    kept = [plane.copy() for plane in first]
    repaired((255 - planes[0], planes[2], planes[1]), qp=qp)
    assert all(np.array_equal(one, other) for one, other in zip(first, kept, strict=True))


def test_blocks_that_were_coded_finely_stay_bit_for_bit(painting: Rgb) -> None:
    planes = planes_of(painting)
    qp = np.full((12, 20), 40, np.float32)
    qp[:, :10] = 20
    after = reducer()(planes, qp=qp)
    assert np.array_equal(after[0][:, :160], planes[0][:, :160])
    assert np.array_equal(after[1][:, :80], planes[1][:, :80])
    assert (after[0][:, 180:] != planes[0][:, 180:]).mean() > 0.3
    assert all(
        np.array_equal(a, b)
        for a, b in zip(reducer()(planes, qp=np.full((12, 20), 24, np.float32)), planes, strict=True)
    )


@pytest.mark.parametrize("size", [(64, 48), (321, 191), (2, 2), (1, 1), (17, 300)])
def test_any_size_keeps_its_shape(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    width, height = size
    half = (-(-height // 2), -(-width // 2))
    planes = tuple(rng.integers(0, 255, shape, dtype=np.uint8) for shape in ((height, width), half, half))
    after = reducer()(planes, qp=35.0)  # type: ignore[arg-type]
    assert [plane.shape for plane in after] == [plane.shape for plane in planes]


@pytest.mark.parametrize("subsampling", [(1, 1), (2, 1), (2, 2)])
def test_other_subsampling_and_depth_give_about_the_same(painting: Rgb, subsampling: tuple[int, int]) -> None:
    planes = planes_of(painting)
    size = 320 // subsampling[0], 192 // subsampling[1]
    chroma = [cv2.resize(plane, size, interpolation=cv2.INTER_NEAREST) for plane in planes[1:]]
    expected = reducer()(planes, qp=38.0)
    deep = tuple(plane.astype(np.uint16) * 4 for plane in (planes[0], *chroma))
    after = reducer()(deep, qp=38.0, max_value=1020, subsampling=subsampling)  # type: ignore[arg-type]
    assert after[0].dtype == np.uint16
    assert [plane.shape for plane in after[1:]] == [plane.shape for plane in chroma]
    assert np.abs(after[0] / 4 - expected[0]).max() < 1.5


def test_quantisers_of_another_grid_are_spread_over_the_picture(painting: Rgb) -> None:
    planes = planes_of(painting)
    coarse = np.array([[20, 40]], np.float32)
    after = reducer()(planes, qp=coarse)
    assert np.array_equal(after[0][:, :150], planes[0][:, :150])
    assert not np.array_equal(after[0][:, 180:], planes[0][:, 180:])


def test_weights_of_wrong_shape_or_not_finite_are_refused() -> None:
    tensors = random_tensors()
    check_shapes(NET, tensors, name="x")
    with pytest.raises(WeightsError, match="NaN"):
        check_shapes(NET, {**tensors, "layer0.bias": np.full(8, np.nan)}, name="x")
    with pytest.raises(WeightsError, match="wrong shape"):
        check_shapes(NET, {**tensors, "layer0.bias": np.zeros(9, np.float32)}, name="x")
    with pytest.raises(WeightsError, match="unknown"):
        check_shapes(NET, {**tensors, "more": np.zeros(9, np.float32)}, name="x")


def test_tiers_have_a_reducer_and_lanczos_has_none() -> None:
    assert load_reducer("lanczos") is None
    assert reducer_name("none") is None
    assert reducer_name("turbo") == "turbo-artifacts"
    assert reducer_name("my-model") == "turbo-artifacts"


@pytest.mark.parametrize("codec", ["h264", "mpeg2video"])
@pytest.mark.parametrize("known", [True, False])
def test_shipped_weights_repair_macroblocks_and_leave_clean_pictures(painting: Rgb, codec: str, *, known: bool) -> None:
    shipped = load_reducer("turbo")
    assert shipped is not None
    clean = planes_of(painting, (640, 272))
    qp, quantiser = (40.0, 40) if codec == "h264" else (38.0, 20)
    coded = recode([clean], codec=codec, crf=quantiser, constant=True)[0]
    after = shipped(coded, qp=qp if known else None)
    assert psnr(after[0], clean[0]) > psnr(coded[0], clean[0]) + 0.03
    untouched = shipped(clean, qp=20.0 if known else None)
    assert psnr(untouched[0], clean[0]) > 42


@pytest.mark.slow
def test_training_reduces_the_error() -> None:
    rng = np.random.default_rng(0)
    clean = tuple(
        np.stack([cv2.GaussianBlur(rng.integers(0, 255, (side, side), dtype=np.uint8), None, 3) for _ in range(6)])
        for side in (96, 48, 48)
    )
    coded = tuple((plane // 16 * 16).astype(np.uint8) for plane in clean)  # an offset that any network can learn
    arrays = ArtifactArrays(clean, coded, np.full(6, 35, np.float32), np.ones(6, np.bool_))  # type: ignore[arg-type]
    lines: list[str] = []
    recipe = ReducerRecipe(NET, steps=1000, batch=4, patch_px=32, learning_rate=5e-3)
    tensors = train_reducer(arrays, recipe, say=lines.append, save=lambda tensors: None)
    after = ArtifactReducer("trained", TorchReducer(NET, tensors))(
        tuple(plane[0] for plane in coded),
        qp=35.0,  # type: ignore[arg-type]
    )
    assert psnr(after[0], clean[0][0]) > psnr(coded[0][0], clean[0][0]) + 3
    assert lines
