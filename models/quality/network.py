"""Network of `models.quality`: from the features along both axes to what became of a picture.

    features (2, FEATURES), standardised → two dense layers per axis → mean and maximum of both axes → outputs

Small enough for NumPy: two products of a matrix and a vector each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp

import numpy as np

from deepclarity.errors import WeightsError
from deepclarity.models.generator import Tensors
from deepclarity.models.verdict import Kind, Plane
from deepclarity.models.weights import load_weights

from .features import FEATURES, axis_features
from .periodicity import Floats, refine_factor

NAME = "quality"
CLASSES = (Kind.CLEAN, Kind.SOFT, Kind.BLOCKY)
HIDDEN = 96, 48
MAX_FEATURE = 6.0
"""Bound of the standardised features."""
MIN_QP, QP_SPAN = 10.0, 40.0
"""The quantiser at an output of 0, and how much more it is at 1."""
_MIN_FACTOR = 1.1
_SEVERAL, _SHARE_OF_SEVERAL = 3, 0.6
"""From this many pictures of a scene on, their mean evidence must reach this share of the threshold."""


@dataclass(frozen=True, slots=True)
class Quality:
    """What became of a picture before it reached us, as far as it shows."""

    kind: Kind
    """`CLEAN`, `SOFT` or `BLOCKY`."""
    qp: float
    """About the quantiser of its coarsest coding, on H.264's scale."""
    logits: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """The evidence for each of `CLASSES`."""
    factors: tuple[float, float] | None = None
    """By how much a smooth enlargement made it larger, (x, y); None unless it is `SOFT`."""


def shapes() -> dict[str, tuple[int, ...]]:
    """The shapes of the weights by name; `thresholds` are the least log odds of `SOFT` and `BLOCKY`."""
    first, second = HIDDEN
    return {
        "features.mean": (FEATURES,),
        "features.scale": (FEATURES,),
        "first.weight": (first, FEATURES),
        "first.bias": (first,),
        "second.weight": (second, first),
        "second.bias": (second,),
        "factor.weight": (1, second),
        "factor.bias": (1,),
        "classes.weight": (len(CLASSES), 2 * second),
        "classes.bias": (len(CLASSES),),
        "qp.weight": (1, 2 * second),
        "qp.bias": (1,),
        "thresholds": (2,),
    }


class QualityNetwork:
    """Estimates the quality of pictures; thread-safe."""

    def __init__(self, tensors: Tensors) -> None:
        """`tensors`: as in `shapes`; WeightsError for any others."""
        for key, shape in shapes().items():
            if key not in tensors or tensors[key].shape != shape or not np.isfinite(tensors[key]).all():
                raise WeightsError(f"{NAME}: tensor '{key}' is missing, of a wrong shape or not finite")
        self._weights = {key: np.ascontiguousarray(value, np.float32) for key, value in tensors.items()}

    def __call__(self, luma: Plane, *, max_value: int = 255) -> Quality | None:
        """Estimate the quality of `luma`, (height, width) in 0..max_value; None if a side is shorter than 64."""
        features = axis_features(luma, max_value=max_value)
        if features is None:
            return None
        logits, qp, factors = self.classify(features)
        across, down = (
            max(_MIN_FACTOR, refine_factor(plane, factor, max_value=max_value))
            for plane, factor in zip((luma, luma.T), factors, strict=True)
        )
        kind = self.kind_of([logits])
        return Quality(kind, qp, logits, (across, down) if kind is Kind.SOFT or logits[1] > logits[0] else None)

    def kind_of(self, logits: Sequence[tuple[float, float, float]]) -> Kind:
        """The kind of a scene by the logits of some of its pictures: of several, less evidence each is enough."""
        needed = self._weights["thresholds"] * (1.0 if len(logits) < _SEVERAL else _SHARE_OF_SEVERAL)
        return _chosen(np.mean(np.array(logits, np.float32), axis=0), needed)

    def classify(self, features: Floats) -> tuple[tuple[float, float, float], float, tuple[float, float]]:
        """Logits, quantiser and rough factors of a picture with these features, (2, FEATURES)."""
        w = self._weights
        x = ((features - w["features.mean"]) * w["features.scale"]).clip(-MAX_FEATURE, MAX_FEATURE)
        for layer in ("first", "second"):
            x = np.maximum(x @ w[f"{layer}.weight"].T + w[f"{layer}.bias"], 0)
        factors = np.exp2(x @ w["factor.weight"].T + w["factor.bias"])[:, 0]
        pooled = np.concatenate([x.mean(axis=0), x.max(axis=0)])
        logits = w["classes.weight"] @ pooled + w["classes.bias"]
        qp = MIN_QP + QP_SPAN * float((w["qp.weight"] @ pooled + w["qp.bias"])[0])
        clean, soft, blocky = (float(value) for value in logits)
        return (clean, soft, blocky), qp, (float(factors[0]), float(factors[1]))


def _chosen(logits: Floats, thresholds: Floats) -> Kind:
    """The likelier of `SOFT` and `BLOCKY` whose log odds against everything else reach the threshold, or `CLEAN`."""
    values = [float(value) for value in logits]
    best = max((1, 2), key=lambda number: values[number])
    others = [value for number, value in enumerate(values) if number != best]
    top = max(others)
    odds = values[best] - top - float(np.log(sum(exp(value - top) for value in others)))
    return CLASSES[best] if odds >= float(thresholds[best - 1]) else Kind.CLEAN


@lru_cache(maxsize=1)
def load_quality_network() -> QualityNetwork:
    """The network that ships."""
    return QualityNetwork(load_weights(NAME)[1])
