"""The comb measure: high between fields of two moments, low on everything that is progressive."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from deepclarity.stream.interlaced.combs import comb_energy, comb_score, field_changes, weave
from tests.interlaced_clips import Grey, moving_bars

LOW, HIGH = 0.12, 0.25


def stripes(offset: int) -> Grey:
    """Rows of alternate brightness that move to the right as a ramp does: fine texture, no fields."""
    y, x = np.mgrid[0:128, 0:192]
    return ((y % 2) * 120 + (x + offset) % 100).astype(np.uint8)


def noise(seed: int) -> Grey:
    return np.random.default_rng(seed).integers(0, 256, (128, 192)).astype(np.uint8)


def blocks(size: float, offset: int) -> Grey:
    """Enlarged pixels of noise."""
    small = np.random.default_rng(1).integers(0, 256, (96, 160)).astype(np.uint8)[:, offset:]
    return cv2.resize(small, None, fx=size, fy=size, interpolation=cv2.INTER_NEAREST)[:128, :192]  # type: ignore[return-value,call-overload]


def test_two_moments_in_one_picture_are_combed() -> None:
    combed = weave(moving_bars(2), moving_bars(3))
    assert comb_score(combed, weave(moving_bars(0), moving_bars(1))) > HIGH
    assert comb_score(combed, None) > HIGH


def test_a_small_moving_thing_is_enough() -> None:
    pictures = [np.full((480, 640), 90, np.uint8) for _ in range(4)]
    for number, picture in enumerate(pictures):
        picture[200:230, 100 + 6 * number : 130 + 6 * number] = 180
    assert comb_score(weave(pictures[2], pictures[3]), weave(pictures[0], pictures[1])) > HIGH


@pytest.mark.parametrize(
    ("picture", "previous"),
    [
        (moving_bars(2), moving_bars(0)),
        (noise(1), noise(2)),
        (blocks(1.5, 1), blocks(1.5, 0)),
        (blocks(2, 1), blocks(2, 0)),
        (blocks(4, 1), blocks(4, 0)),
        (stripes(0), stripes(0)),
        (np.full((128, 192), 7, np.uint8), None),
        (np.full((8, 8), 7, np.uint8), None),
    ],
)
def test_progressive_pictures_are_not_combed(picture: Grey, previous: Grey | None) -> None:
    assert comb_score(picture, previous) < LOW


def test_the_right_order_of_fields_combs_less() -> None:
    first, second = weave(moving_bars(0), moving_bars(1)), weave(moving_bars(2), moving_bars(3))
    assert comb_energy(weave(second, first)) < comb_energy(weave(first, second))


def test_a_repeated_field_has_not_changed() -> None:
    before, after = weave(moving_bars(0), moving_bars(1)), weave(moving_bars(0), moving_bars(3))
    top, bottom = field_changes(after, before)
    assert top == 0 < bottom
