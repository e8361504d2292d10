"""Display matrices applied to pictures."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from deepclarity.stream.pictures.orientation import as_shown, is_transposed

ONE = 1 << 16
STRAIGHT = [(x, 0, 0, y) for x, y in product((ONE, -ONE), repeat=2)]
TRANSPOSED = [(0, y, x, 0) for x, y in product((ONE, -ONE), repeat=2)]


@pytest.mark.parametrize("turned", STRAIGHT + TRANSPOSED)
def test_every_pixel_lands_where_the_matrix_says(turned: tuple[int, int, int, int]) -> None:
    a, b, c, d = turned
    picture = np.arange(12, dtype=np.uint8).reshape(3, 4)
    shown = as_shown(picture, (a, b, 0, c, d, 0, 0, 0, 1 << 30))
    points = {(x, y): ((a * x + c * y) // ONE, (b * x + d * y) // ONE) for x in range(4) for y in range(3)}
    left, top = (min(point[axis] for point in points.values()) for axis in (0, 1))
    assert is_transposed((a, b, 0, c, d, 0, 0, 0, 1 << 30)) == (turned in TRANSPOSED)
    for (x, y), (u, v) in points.items():
        assert shown[v - top, u - left] == picture[y, x]


def test_without_a_matrix_a_picture_stays() -> None:
    picture = np.zeros((3, 4), np.uint8)
    assert as_shown(picture, None) is picture
