"""Encoders of animated pictures: what they write, as another library reads it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from deepclarity.stream.pictures.animation_encoder import AnimationEncoder
from deepclarity.stream.pictures.apng import ApngEncoder
from deepclarity.stream.pictures.gif import GifEncoder
from deepclarity.stream.pictures.webp import WebpEncoder

Rgba = NDArray[np.uint8]
ENCODERS = {"gif": GifEncoder, "webp": WebpEncoder, "apng": ApngEncoder}
DELAYS = [Fraction(each, 100) for each in (5, 0, 12, 300, 1, 7)]


def frames(*, colours: int, alphas: Sequence[int] = (255, 255, 255, 0, 255, 0)) -> list[Rgba]:
    """Six frames, two of them equal, with a square whose opacity changes."""
    random = np.random.default_rng(1)
    palette = random.integers(0, 256, (colours, 3), np.uint8)
    pictures = []
    for number, alpha in enumerate(alphas):
        indices = np.random.default_rng(number // 2).integers(0, colours, (37, 51))
        picture = np.dstack([palette[indices], np.full(indices.shape, 255, np.uint8)])
        picture[8:20, 10:30, 3] = alpha
        pictures.append(picture)
    return pictures


def encode(path: Path, encoder: Callable[..., AnimationEncoder], pictures: list[Rgba], **options: object) -> Path:
    with encoder(path, size=(51, 37), **{"loops": 0, **options}) as opened:
        for picture, delay in zip(pictures, DELAYS, strict=True):
            opened.add(picture, delay, exact=True)
        opened.finish()
    return path


def decode_by_ffmpeg(path: Path) -> list[Rgba]:
    """The frames of a GIF: Pillow shows no holes that the first frame does not have."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgba") for frame in container.decode(video=0)]


def decode(path: Path) -> tuple[list[Rgba], list[float], int | None]:
    with Image.open(path) as image:
        pictures, delays = [], []
        for number in range(image.n_frames):
            image.seek(number)
            pictures.append(np.asarray(image.convert("RGBA")))
            delays.append(image.info["duration"])
        return pictures, delays, image.info.get("loop")


@pytest.mark.parametrize("kind", ENCODERS)
def test_every_frame_comes_back_exactly_with_its_delay(tmp_path: Path, kind: str) -> None:
    before = frames(colours=200)
    after, delays, _ = decode(encode(tmp_path / f"a.{kind}", ENCODERS[kind], before))
    assert delays == [float(delay * 1000) for delay in DELAYS]
    after = decode_by_ffmpeg(tmp_path / "a.gif") if kind == "gif" else after
    for one, other in zip(before, after, strict=True):
        shown = one[:, :, 3] > 0
        assert np.array_equal(one[:, :, 3], other[:, :, 3])
        assert np.array_equal(one[shown], other[shown])


@pytest.mark.parametrize("kind", ["webp", "apng"])
def test_partial_opacity_and_many_colours_are_lossless(tmp_path: Path, kind: str) -> None:
    before = frames(colours=5000, alphas=(255, 77, 0, 1, 254, 128))
    after, _, _ = decode(encode(tmp_path / f"a.{kind}", ENCODERS[kind], before))
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


def test_gif_dithers_what_has_too_many_colours(tmp_path: Path) -> None:
    ramp = np.add.outer(np.arange(37) * 2.0, np.arange(51) * 3.0)
    picture = np.dstack([ramp, ramp[::-1], 255 - ramp, np.full(ramp.shape, 255)]).astype(np.uint8)
    after, _, _ = decode(encode(tmp_path / "a.gif", GifEncoder, [picture] * 6))
    assert len(after) == 6
    difference = picture[:, :, :3].astype(float) - after[0][:, :, :3]
    assert np.abs(difference).mean() < 8
    assert np.abs(difference.mean((0, 1))).max() < 1


@pytest.mark.parametrize(("kind", "written"), [("gif", {None: None, 0: 0, 3: 3}), ("webp", {None: 1, 0: 0, 3: 4})])
def test_the_number_of_loops(tmp_path: Path, kind: str, written: dict[int | None, int | None]) -> None:
    for loops, expected in written.items():
        path = encode(tmp_path / f"a.{kind}", ENCODERS[kind], frames(colours=20), loops=loops)
        assert decode(path)[2] == expected


def test_the_times_of_thirty_frames_a_second_do_not_drift(tmp_path: Path) -> None:
    with GifEncoder(tmp_path / "a.gif", size=(51, 37), loops=0) as encoder:
        for _ in range(30):
            encoder.add(frames(colours=20)[0], Fraction(1, 30), exact=False)
        encoder.finish()
    assert sum(decode(tmp_path / "a.gif")[1]) == 1000


@pytest.mark.parametrize("kind", ["webp", "apng"])
def test_a_colour_profile_is_kept(tmp_path: Path, kind: str) -> None:
    path = encode(tmp_path / f"a.{kind}", ENCODERS[kind], frames(colours=20), profile=b"not really a profile")
    with Image.open(path) as image:
        assert image.info["icc_profile"] == b"not really a profile"


@pytest.mark.parametrize("kind", ENCODERS)
def test_what_does_not_change_costs_little(tmp_path: Path, kind: str) -> None:
    still, moving = [frames(colours=200)[0]] * 6, frames(colours=200, alphas=(255,) * 6)
    one = encode(tmp_path / f"still.{kind}", ENCODERS[kind], still).stat().st_size
    assert one * 2 < encode(tmp_path / f"moving.{kind}", ENCODERS[kind], moving).stat().st_size
