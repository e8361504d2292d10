"""Quantisers that an artifact reducer is given, frame by frame."""

from __future__ import annotations

from fractions import Fraction
from typing import cast

import numpy as np
import pytest

from deepclarity.models.artifacts.reducer import ArtifactReducer, Planes
from deepclarity.models.verdict import Kind, Verdict
from deepclarity.pipelines.artifacts.reduce import reduced
from deepclarity.pipelines.detect import Scored
from deepclarity.pipelines.records import Lane, Summary
from deepclarity.pipelines.route import Routed
from deepclarity.stream.coding import Coding
from deepclarity.stream.frame import Frame


class QuantisersGiven:
    """A reducer that remembers the quantisers it is given."""

    name, backend = "test", "none"

    def __init__(self) -> None:
        self.given: list[float | None] = []

    def __call__(self, planes: Planes, *, qp: float | None, max_value: int, subsampling: tuple[int, int]) -> Planes:
        del max_value, subsampling
        self.given.append(qp)
        return planes


@pytest.mark.parametrize(
    ("codec", "expected"),
    [("h264", [40, 41, 42, 40, 41]), ("hevc", [40, 40, 40, 40, 40]), ("vp9", [None] * 5)],
)
def test_pictures_between_finer_ones_count_as_less_coarse_than_they_say(
    codec: str, expected: list[float | None]
) -> None:
    reducer, planes = QuantisersGiven(), (np.zeros((16, 16), np.uint8), *(np.zeros((8, 8), np.uint8),) * 2)
    routed = [
        Routed(
            Scored(
                Frame(planes, index, pts=index, time_base=Fraction(1, 25), coding=Coding(codec, qp)),
                Verdict(0.0, Kind.BLOCKY, severity=0.8),
                index == 0,
            ),
            Lane.PASS,
            reduce=True,
        )
        for index, qp in enumerate([40.0, 44.0, 44.0, 40.0, 44.0])
    ]
    list(reduced(routed, cast("ArtifactReducer", reducer), Summary()))
    assert reducer.given == expected
