"""External networks as enhancers: luma models like any tier, RGB models on all three planes."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from deepclarity.models.backends.checks import as_plane, check_plane, check_scale
from deepclarity.models.colour import Floats, Planes, YCbCr, as_planes
from deepclarity.models.verdict import Plane

from .network import Network, NetworkInfo
from .tiles import TiledNetwork


class ExternalEnhancer:
    """A network for luma alone, one channel."""

    def __init__(self, network: Network) -> None:
        self.name = network.info.name
        self.backend = network.backend
        self.scales: tuple[int, ...] = (network.info.scale,)
        self._network = network
        self._tiled = TiledNetwork(network)

    @property
    def info(self) -> NetworkInfo:
        """What is known of the network."""
        return self._network.info

    def __call__(self, luma: Plane, *, scale: int, max_value: int = 255) -> Plane:
        """Enlarge (height, width) to (height * scale, width * scale), same dtype, range 0..max_value."""
        check_scale(self.name, scale, self.scales)
        luma = check_plane(luma, max_value)
        large = self._tiled(np.asarray(luma, np.float32)[None] / np.float32(max_value))
        levels = np.clip(large[0] * np.float32(max_value) + np.float32(0.5), 0, max_value)
        return as_plane(levels.astype(luma.dtype))

    def close(self) -> None:
        """Release memory."""
        self._network.close()


class ColourEnhancer(ExternalEnhancer):
    """A network for R'G'B', three channels; planes are converted by `colour`, and back."""

    def __init__(self, network: Network, *, colour: Callable[[], YCbCr] = YCbCr) -> None:
        """`colour`: says how the planes of the next call encode colour; default: full-range BT.601, as in stills."""
        super().__init__(network)
        self._colour = colour

    def for_colour(self, colour: Callable[[], YCbCr]) -> ColourEnhancer:
        """The same network for planes that encode colour differently; closing one closes both."""
        return ColourEnhancer(self._network, colour=colour)

    def __call__(self, luma: Plane, *, scale: int, max_value: int = 255) -> Plane:
        """Enlarge luma (height, width) by `scale` as a picture without colour; same dtype, range 0..max_value."""
        grey = np.full_like(luma, (max_value + 1) // 2)
        return self.enlarge_planes((luma, grey, grey), scale=scale, max_value=max_value)[0]

    def enlarge_planes(self, planes: Planes, *, scale: int, max_value: int = 255) -> Planes:
        """Enlarge Y'CbCr planes of one shape (height, width) to (height * scale, width * scale).

        Same dtype, range 0..max_value. What a plane holds beyond R'G'B' 0..1 (blacker than black, say) is enlarged
        by interpolation and added: the network sees 0..1 only.
        """
        check_scale(self.name, scale, self.scales)
        luma, blue, red = (check_plane(plane, max_value) for plane in planes)
        colour = self._colour()
        rgb = colour.to_rgb((luma, blue, red), max_value=max_value)
        seen = np.clip(rgb, 0, 1)
        large = self._tiled(np.ascontiguousarray(seen.transpose(2, 0, 1))).transpose(1, 2, 0)
        levels = colour.from_rgb(np.ascontiguousarray(large), max_value=max_value)
        beyond = rgb - seen
        if np.abs(beyond).max() > 0.5 / max_value:
            levels += _enlarged_difference(beyond, colour, scale, max_value)
        return as_planes(levels, max_value=max_value, dtype=luma.dtype)


def _enlarged_difference(rgb: Floats, colour: YCbCr, scale: int, max_value: int) -> Floats:
    """A difference of R'G'B' values as one of Y'CbCr levels, enlarged."""
    levels = colour.from_rgb(rgb, max_value=max_value)
    levels -= colour.from_rgb(np.zeros((1, 1, 3), np.float32), max_value=max_value)
    size = rgb.shape[1] * scale, rgb.shape[0] * scale
    return np.asarray(cv2.resize(levels, size, interpolation=cv2.INTER_LINEAR), np.float32)
