"""Codec round trips."""

from __future__ import annotations

import os
import sys

import cv2
import numpy as np
import pytest

from deepclarity.errors import UsageError
from deepclarity.models.metrics import psnr
from deepclarity.pipelines.datasets.degrade import planes_of
from deepclarity.pipelines.datasets.synthetic import screen
from deepclarity.stream.files.recode import ENCODERS, recode
from deepclarity.stream.frame import Planes
from tests.tiny_recipes import photo


def moving(count: int = 3, size: int = 144) -> list[Planes]:
    """A drawing that moves by four pixels per frame."""
    luma, blue, red = photo(1, 168)
    return [
        (
            luma[: size - 16, 4 * i : 4 * i + size],
            blue[: size // 2 - 8, 2 * i : 2 * i + size // 2],
            red[: size // 2 - 8, 2 * i : 2 * i + size // 2],
        )
        for i in range(count)
    ]


def closeness(codec: str, crf: int) -> list[float]:
    """Luma PSNR of each frame."""
    frames = moving()
    coded = recode(frames, codec=codec, crf=crf)
    return [
        psnr(np.asarray(one[0], np.uint8), np.asarray(two[0], np.uint8)) for one, two in zip(coded, frames, strict=True)
    ]


@pytest.mark.parametrize("codec", ENCODERS)
def test_recode_returns_every_frame_in_order_with_loss(codec: str) -> None:
    frames, coded = moving(), recode(moving(), codec=codec, crf=30)
    assert [tuple(p.shape for p in planes) for planes in coded] == [tuple(p.shape for p in planes) for planes in frames]
    lumas = [np.asarray(planes[0], np.float32) for planes in coded]
    for number, (luma, _, _) in enumerate(frames):
        errors = [float(np.abs(other - luma).mean()) for other in lumas]
        assert int(np.argmin(errors)) == number
        assert errors[number] > 0


@pytest.mark.parametrize("codec", ENCODERS)
def test_higher_crf_increases_the_loss(codec: str) -> None:
    assert all(one > other for one, other in zip(closeness(codec, 20), closeness(codec, 45), strict=True))


def coded_again(codec: str, size: int) -> bytes:
    """Encode the same frames with `codec` in memory with different previous contents."""
    random = np.random.default_rng()
    noise = [random.integers(0, 255, int(length), np.uint8) for length in random.integers(1_000, 300_000, 20)]
    noise.clear()
    return b"".join(plane.tobytes() for planes in recode(moving(3, size), codec=codec, crf=34) for plane in planes)


@pytest.mark.parametrize("size", [128, 144])  # an even and an odd number of macroblocks per row
@pytest.mark.parametrize("codec", ENCODERS)
def test_recode_is_deterministic(codec: str, size: int) -> None:
    assert len({coded_again(codec, size) for _ in range(12)}) == 1


def test_av1_screen_content_workaround_returns_all_frames() -> None:
    still = planes_of(screen(np.random.default_rng(6), 320, 180))
    coded = recode([still] * 3, codec="av1", crf=25, speed="ultrafast")
    assert min(psnr(np.asarray(planes[0], np.uint8), still[0]) for planes in coded) > 25
    assert len(coded) == 3


@pytest.mark.parametrize("codec", ENCODERS)
def test_encoders_print_nothing(codec: str, capfd: pytest.CaptureFixture[str]) -> None:
    large = [tuple(cv2.resize(plane, None, fx=3, fy=3) for plane in planes) for planes in moving(2)]
    recode([(y, u, v) for y, u, v in large], codec=codec, crf=40, speed="ultrafast")
    assert capfd.readouterr() == ("", "")


def test_unknown_codec_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'h264'"):
        recode(moving(), codec="h263", crf=30)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how a thread is scheduled")
@pytest.mark.parametrize("codec", ENCODERS)
def test_encoders_leave_thread_scheduling_unchanged(codec: str) -> None:
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    recode(moving(1), codec=codec, crf=30)
    assert (os.sched_getscheduler(0), os.sched_getparam(0)) == before
