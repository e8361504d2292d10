"""What became of a picture, by the picture alone: coarse coding, smooth enlargement and its factor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from deepclarity.errors import WeightsError
from deepclarity.models.quality.features import FEATURES, axis_features
from deepclarity.models.quality.network import Quality, QualityNetwork, load_quality_network, shapes
from deepclarity.models.quality.periodicity import refine_factor
from deepclarity.models.quality.tracker import QualityTracker
from deepclarity.models.train.quality import QualityArrays, QualityRecipe, train_quality
from deepclarity.models.verdict import Bytes, Kind
from deepclarity.pipelines.datasets.degrade import jpeg
from deepclarity.pipelines.datasets.quality_dataset import qp_of
from deepclarity.stream.files.recode import recode
from tests.conftest import Rgb


def luma_of(painting: Rgb) -> Bytes:
    return np.ascontiguousarray(cv2.cvtColor(painting, cv2.COLOR_RGB2GRAY))


def planes(luma: Bytes) -> tuple[Bytes, Bytes, Bytes]:
    grey = np.full((luma.shape[0] // 2, luma.shape[1] // 2), 128, np.uint8)
    return luma, grey, grey


def enlarged(luma: Bytes, factor: float, how: int = cv2.INTER_CUBIC) -> Bytes:
    height, width = luma.shape
    small = cv2.resize(luma, (round(width / factor), round(height / factor)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=how).astype(np.uint8)


def coded(luma: Bytes, codec: str, quantiser: int) -> Bytes:
    return recode([planes(luma)], codec=codec, crf=quantiser, constant=True)[0][0]


def test_features_are_finite_for_any_size_depth_and_stride(painting: Rgb) -> None:
    luma = luma_of(painting)
    for picture in (luma, luma[:64, :64], luma[::2, ::3], luma[:, ::-1], np.zeros((100, 700), np.uint8)):
        found = axis_features(picture)
        assert found is not None
        assert found.shape == (2, FEATURES)
        assert np.isfinite(found).all()
    assert axis_features(luma[:63]) is None
    deep = axis_features(luma.astype(np.uint16) * 4, max_value=1020)
    np.testing.assert_allclose(deep, axis_features(luma), atol=1e-4)


def test_features_along_y_are_those_along_x_of_the_transposed_picture(painting: Rgb) -> None:
    square = luma_of(painting)[:512, :512]
    along, across = axis_features(square), axis_features(np.ascontiguousarray(square.T))
    assert along is not None
    assert across is not None
    np.testing.assert_allclose(along[::-1], across, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda luma: luma, Kind.CLEAN),
        (lambda luma: coded(luma, "h264", 20), Kind.CLEAN),
        (lambda luma: jpeg(planes(luma), 90)[0], Kind.CLEAN),
        (lambda luma: coded(luma, "h264", 46), Kind.BLOCKY),
        (lambda luma: coded(luma, "mpeg4", 31), Kind.BLOCKY),
        (lambda luma: jpeg(planes(luma), 8)[0], Kind.BLOCKY),
        (lambda luma: enlarged(luma, 2), Kind.SOFT),
        (lambda luma: enlarged(luma, 3, cv2.INTER_LINEAR), Kind.SOFT),
        (lambda luma: coded(enlarged(luma, 3), "h264", 20), Kind.SOFT),
    ],
)  # fmt: skip
def test_kind_of_a_picture_with_a_known_past(make: Callable[[Bytes], Bytes], kind: Kind, painting: Rgb) -> None:
    found = load_quality_network()(make(luma_of(painting)))
    assert found is not None
    assert found.kind is kind
    assert found.factors is not None or kind is not Kind.SOFT


def test_estimated_quantiser_rises_with_the_true_one(painting: Rgb) -> None:
    network, luma = load_quality_network(), luma_of(painting)
    estimates = [network(coded(luma, "h264", quantiser)) for quantiser in (18, 28, 38, 48)]
    values = [found.qp for found in estimates if found is not None]
    assert values == sorted(values)
    assert values[-1] - values[0] > 15


@pytest.mark.parametrize("factor", [1.5, 2.25, 2.7, 3.0, 3.5])
@pytest.mark.parametrize("how", [cv2.INTER_LINEAR, cv2.INTER_CUBIC])
def test_factor_is_found_by_what_interpolation_leaves(factor: float, how: int, painting: Rgb) -> None:
    large = enlarged(luma_of(painting), factor, how)
    assert refine_factor(large, factor * 1.07) == pytest.approx(factor, rel=0.02)


def test_factor_that_coincides_with_a_codecs_grid_is_the_nearest_usual_one() -> None:
    flat = np.full((200, 400), 90, np.uint8)
    assert refine_factor(flat, 2.1) == 2
    assert refine_factor(flat, 3.9) == 4
    assert refine_factor(flat, 5.2) == pytest.approx(5.2)


class Answers:
    """A network that gives these answers, one a call: soft if the mean of the second logit is above 0."""

    def __init__(self, *answers: Quality | None) -> None:
        self.answers, self.calls = list(answers), 0

    def __call__(self, luma: object, *, max_value: int) -> Quality | None:
        self.calls += 1
        return self.answers.pop(0)

    def kind_of(self, logits: list[tuple[float, float, float]]) -> Kind:
        return Kind.SOFT if np.mean([each[1] for each in logits]) > 0 else Kind.CLEAN


def soft(evidence: float, factors: tuple[float, float] | None = (2.0, 2.0)) -> Quality:
    return Quality(Kind.CLEAN, 20, (0.0, evidence, 0.0), factors)


def kinds_over(tracker: QualityTracker, frames: int) -> list[Kind | None]:
    luma = np.zeros((64, 64), np.uint8)
    found = [tracker.next(luma, max_value=255) for _ in range(frames)]
    return [each.kind if each else None for each in found]


def test_evidence_of_a_scene_adds_up() -> None:
    network = Answers(soft(-1), soft(0.5), soft(3), soft(-0.5))
    tracker = QualityTracker(network)  # type: ignore[arg-type]
    assert kinds_over(tracker, 48) == [Kind.CLEAN] * 24 + [Kind.SOFT] * 24
    assert network.calls == 4


def test_quantiser_of_a_scene_is_the_median_of_its_estimates() -> None:
    network = Answers(*(replace(soft(-1), qp=qp) for qp in (20.0, 45.0, 22.0)))
    tracker = QualityTracker(network)  # type: ignore[arg-type]
    found = [tracker.next(np.zeros((64, 64), np.uint8), max_value=255) for _ in range(36)]
    assert [each.qp for each in found[::12] if each] == [20.0, 32.5, 22.0]


def test_new_scene_is_estimated_at_once_and_factors_stay_within_one() -> None:
    tracker = QualityTracker(Answers(soft(1), soft(1, (2.1, 2.1)), soft(1, (3.0, 3.0))))  # type: ignore[arg-type]
    luma = np.zeros((64, 64), np.uint8)
    found = [tracker.next(luma, max_value=255) for _ in range(20)]
    assert {each.factors for each in found if each} == {(2.0, 2.0)}
    tracker.start_scene()
    later = tracker.next(luma, max_value=255)
    assert later is not None
    assert later.factors == (3.0, 3.0)


def test_pictures_too_small_have_no_quality() -> None:
    assert kinds_over(QualityTracker(load_quality_network()), 0) == []
    assert QualityTracker(load_quality_network()).next(np.zeros((20, 20), np.uint8), max_value=255) is None


def test_less_evidence_each_is_enough_of_several_pictures() -> None:
    network = load_quality_network()
    needed = float(network._weights["thresholds"][0])
    logits = (0.0, needed * 0.8 + np.log(2), 0.0)
    assert network.kind_of([logits]) is Kind.CLEAN
    assert network.kind_of([logits] * 3) is Kind.SOFT


def test_weights_of_wrong_shape_or_not_finite_are_refused() -> None:
    tensors = {key: np.zeros(shape, np.float32) for key, shape in shapes().items()}
    QualityNetwork(tensors)
    for broken in ({**tensors, "qp.bias": np.zeros(2, np.float32)}, {**tensors, "qp.bias": np.full(1, np.nan)}):
        with pytest.raises(WeightsError, match=r"qp\.bias"):
            QualityNetwork(broken)
    del tensors["thresholds"]
    with pytest.raises(WeightsError, match="thresholds"):
        QualityNetwork(tensors)


def test_training_learns_classes_quantisers_and_factors() -> None:
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 3, 300)
    features = rng.normal(0, 1, (300, 2, FEATURES)).astype(np.float32)
    features[:, :, 0] += 4 * kinds[:, None]
    qp = np.where(kinds == 2, 45, 20).astype(np.float32)
    factors = np.where(kinds == 1, 3.0, 1.0)[:, None].repeat(2, axis=1).astype(np.float32)
    arrays = QualityArrays(features, kinds, qp, factors)
    recipe = QualityRecipe(steps=600, batch=64, ema_decay=0.98)
    network = QualityNetwork(train_quality(arrays, arrays, recipe, say=lambda line: None))
    found = [network.classify(each) for each in features[:60]]
    answers = [(network.kind_of([logits]), qp, factors) for logits, qp, factors in found]
    names = (Kind.CLEAN, Kind.SOFT, Kind.BLOCKY)
    right = [kind is names[true] for (kind, _, _), true in zip(answers, kinds[:60], strict=True)]
    assert sum(right) >= 55
    assert np.mean([value for _, value, _ in answers[:60]]) == pytest.approx(float(qp[:60].mean()), abs=6)


def test_quantisers_of_codecs_on_one_scale() -> None:
    assert qp_of("h264", 30) == qp_of("hevc", 30) == 30
    assert qp_of("jpeg", 95) < 20
    assert 30 < qp_of("jpeg", 20) < qp_of("jpeg", 5)
    assert qp_of("vp9", 10) < qp_of("vp9", 60)
    assert qp_of("mpeg4", 2) < qp_of("mpeg4", 31)
