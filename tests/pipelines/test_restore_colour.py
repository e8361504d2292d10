"""Repair by networks that compute in R'G'B': luma and chroma go through the network together."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from deepclarity.errors import DeviceError
from deepclarity.models.colour import YCbCr
from deepclarity.models.external.enhancer import ColourEnhancer, ExternalEnhancer
from deepclarity.models.external.network import NetworkInfo, Pixels
from deepclarity.models.external.tiles import TiledNetwork, spans
from deepclarity.models.verdict import Blocks, Plane
from deepclarity.pipelines.restore import restore
from deepclarity.stream.frame import Planes


class Cubic:
    """A network that interpolates: by the factor 1 it changes nothing."""

    backend, fixed_size, tiled = "test", None, True

    def __init__(self, scale: int = 1, *, channels: int = 3, memory_px: float = 1e9) -> None:
        self.info = NetworkInfo("cubic", "test", scale, channels, 0, "-")
        self.bytes_per_px = 1.0
        self.memory_px = memory_px
        self.sizes: list[tuple[int, ...]] = []

    def __call__(self, pixels: Pixels) -> Pixels:
        _, height, width = pixels.shape
        assert 0 <= pixels.min() <= pixels.max() <= 1
        if height * width > self.memory_px:
            raise MemoryError
        self.sizes.append((height, width))
        size = width * self.info.scale, height * self.info.scale
        large = [cv2.resize(plane, size, interpolation=cv2.INTER_CUBIC) for plane in pixels]
        return np.clip(np.stack(large), 0, 1).astype(np.float32)

    def available_bytes(self) -> int:
        return 1 << 40

    def close(self) -> None:
        pass


def colourful(size: tuple[int, int], subsampling: tuple[int, int], max_value: int) -> Planes:
    """Smooth noise over all values, legal R'G'B' or not."""
    rng = np.random.default_rng(3)

    def plane(width: int, height: int) -> Plane:
        small = rng.random((height // 8 + 2, width // 8 + 2)).astype(np.float32)
        large = np.clip(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1) * max_value
        return large.astype(np.uint8 if max_value == 255 else np.uint16)

    width, height = size
    across, down = subsampling
    chroma = -(-width // across), -(-height // down)
    return plane(width, height), plane(*chroma), plane(*chroma)


def difference(one: Planes, other: Planes) -> list[int]:
    return [int(np.abs(a.astype(int) - b).max()) for a, b in zip(one, other, strict=True)]


@pytest.mark.parametrize("subsampling", [(1, 1), (2, 1), (2, 2)])
@pytest.mark.parametrize("colour", [YCbCr(6, True), YCbCr(1, False), YCbCr(9, False)])
@pytest.mark.parametrize("max_value", [255, 1023])
def test_an_identity_rgb_model_returns_the_planes(subsampling: tuple[int, int], colour: YCbCr, max_value: int) -> None:
    planes = colourful((98, 66), subsampling, max_value)
    enhancer = ColourEnhancer(Cubic(), colour=lambda: colour)
    result = restore(
        planes, enhancer=enhancer, blocks=None, size=(98, 66), max_value=max_value, subsampling=subsampling
    )
    assert max(difference(planes, result)) <= 1


@pytest.mark.parametrize("subsampling", [(1, 1), (2, 2)])
@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_blocks_are_averaged_and_colours_stay_in_place(
    subsampling: tuple[int, int], scale: int, painting: NDArray[np.uint8]
) -> None:
    """The result is close to that of a luma network with the same interpolation."""
    small = cv2.resize(painting, (160, 68), interpolation=cv2.INTER_AREA)
    blocky = small.repeat(4, axis=0).repeat(4, axis=1)
    luma, red, blue = cv2.split(cv2.cvtColor(blocky, cv2.COLOR_RGB2YCrCb))
    across, down = subsampling
    chroma = [np.ascontiguousarray(plane[::down, ::across]) for plane in (blue, red)]
    planes: Planes = (luma, chroma[0], chroma[1])  # type: ignore[assignment]
    results = [
        restore(planes, enhancer=enhancer, blocks=Blocks(4, 4), size=(640, 272), max_value=255, subsampling=subsampling)
        for enhancer in (ColourEnhancer(Cubic(scale)), ExternalEnhancer(Cubic(scale, channels=1)))
    ]
    for with_colour, by_luma in zip(*results, strict=True):
        assert with_colour.shape == by_luma.shape
        assert np.abs(with_colour.astype(int) - by_luma).mean() < 0.6


def test_a_small_picture_is_enlarged_to_any_size() -> None:
    planes = colourful((90, 50), (2, 2), 255)
    result = restore(planes, enhancer=ColourEnhancer(Cubic(2)), blocks=None, size=(300, 166), max_value=255)
    assert [plane.shape for plane in result] == [(166, 300), (83, 150), (83, 150)]


def test_luma_alone_is_enlarged_as_grey() -> None:
    luma = colourful((40, 30), (1, 1), 255)[0]
    assert difference((ColourEnhancer(Cubic())(luma, scale=1),) * 3, (luma,) * 3) == [0, 0, 0]


def test_tiles_have_no_seams_and_fit_in_memory() -> None:
    network, pixels = Cubic(3, memory_px=20_000), np.random.default_rng(0).random((3, 300, 410), np.float32)
    expected = Cubic(3)(pixels)
    np.testing.assert_allclose(TiledNetwork(network)(pixels), expected, atol=1e-5)
    assert len(set(network.sizes)) == 1
    assert max(height * width for height, width in network.sizes) <= 20_000


def test_memory_that_does_not_suffice_is_an_error_in_words() -> None:
    pixels = np.zeros((3, 300, 300), np.float32)
    with pytest.raises(DeviceError, match="out of memory even for"):
        TiledNetwork(Cubic(memory_px=10))(pixels)


@pytest.mark.parametrize(("length", "tile"), [(10, 10), (97, 96), (1000, 96), (1000, 999), (501, 128)])
def test_spans_cover_an_axis_once(length: int, tile: int) -> None:
    parts = spans(length, tile)
    assert [part[0] for part in parts] == [0, *(part[1] for part in parts[:-1])]
    assert parts[-1][1] == length
    assert all(first <= start < end <= last and last - first == tile for start, end, first, last in parts)


def test_a_live_stream_may_change_its_colour() -> None:
    colours = iter([YCbCr(1, False), YCbCr(6, False)])

    enhancer = ColourEnhancer(Cubic()).for_colour(lambda: next(colours))
    planes = colourful((32, 32), (1, 1), 255)
    for _ in range(2):
        assert max(difference(planes, enhancer.enlarge_planes(planes, scale=1))) <= 1
    assert next(colours, None) is None
