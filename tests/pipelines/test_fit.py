"""Output size: fits the box, is even, keeps the display aspect."""

from __future__ import annotations

from fractions import Fraction

import pytest

from deepclarity.errors import UsageError
from deepclarity.pipelines.fit import SizeRequest, fit
from deepclarity.stream.info import VideoInfo

ROTATED = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)


def info(width: int, height: int, aspect: Fraction = Fraction(1), matrix: tuple[int, ...] | None = None) -> VideoInfo:
    return VideoInfo("clip", width, height, "yuv420p", Fraction(1, 25), sample_aspect=aspect, display_matrix=matrix)


@pytest.mark.parametrize(
    ("stored", "requested", "size"),
    [
        ((480, 270), "auto", (1920, 1080)),
        ((1920, 1080), "auto", (1920, 1080)),
        ((640, 480), "auto", (1440, 1080)),
        ((270, 480), "auto", (608, 1080)),
        ((1, 1), "auto", (1080, 1080)),
        ((4096, 16), "auto", (4096, 16)),
        ((3840, 2160), "auto", (3840, 2160)),
        ((3840, 2160), "fhd", (1920, 1080)),
        ((2001, 1201), "auto", (2000, 1200)),
        ((1280, 720), "640x640", (640, 360)),
        ((7680, 4320), "auto", (7680, 4320)),
    ],
)
def test_picture_fits_the_box(stored: tuple[int, int], requested: str, size: tuple[int, int]) -> None:
    assert fit(info(*stored), SizeRequest.parse(requested)).size == size


@pytest.mark.parametrize("stored", [(427, 241), (321, 181), (853, 357), (720, 576), (641, 479)])
def test_display_aspect_is_kept_within_half_a_percent(stored: tuple[int, int]) -> None:
    width, height = fit(info(*stored), SizeRequest()).size
    assert abs((width / height) / (stored[0] / stored[1]) - 1) <= 0.005
    assert width % 2 == height % 2 == 0


def test_samples_become_square_only_when_resized() -> None:
    resized = fit(info(720, 480, Fraction(32, 27)), SizeRequest())
    assert (resized.size, resized.sample_aspect) == ((1920, 1080), 1)
    kept = fit(info(1920, 1080, Fraction(4, 3)), SizeRequest())
    assert (kept.size, kept.sample_aspect) == ((1920, 1080), Fraction(4, 3))


def test_rotated_picture_fits_the_box_as_displayed() -> None:
    assert fit(info(640, 360, matrix=ROTATED), SizeRequest()).size == (1080, 608)


def test_padding_only_when_requested() -> None:
    plain, padded = (fit(info(640, 480), SizeRequest.parse("fhd", pad=pad)) for pad in (False, True))
    assert plain.canvas == plain.size == (1440, 1080)
    assert (padded.canvas, padded.size) == ((1920, 1080), (1440, 1080))


@pytest.mark.parametrize("text", ["big", "1920", "0x0", "1x1", "99999x2", "-2x4", "19 20x1080"])
def test_invalid_size_raises_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="--size"):
        SizeRequest.parse(text)
