"""The published methods: MobileNetV3-small on the whole frame, as it is and as a map of its edges.

Both squeeze the whole frame, of any size, into 224×224; the aspect is not kept. What blocks leave in a frame of
Full HD is hardly there after that: these are the baselines, not what one should use.
"""

from __future__ import annotations

from typing import Protocol, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import DeviceError
from deepclarity.models.backends.checks import check_plane
from deepclarity.models.generator import Tensors
from deepclarity.models.train.enhancer.patches import Bytes
from deepclarity.models.verdict import Chroma, Kind, Plane, Verdict
from deepclarity.models.weights import load_weights

from .grid import Grid
from .mobilenet_v3 import SIDE_PX
from .size_check import is_measurable

CLASSES = ("other", "pixelated")
RGB_CENTRE, EDGES_CENTRE = 128.0, 0.0
"""The input level that stands for nothing."""
CANNY = 10, 10
"""Canny's lower and upper threshold, on 8-bit luma; aperture 3, L1 norm. Higher ones see no blocks in calm places."""


class _Network(Protocol):
    def __call__(self, seen: NDArray[np.uint8]) -> NDArray[np.float32]: ...


class MobileNet:
    """MobileNetV3-small on the frame in colour: the published baseline.

    Its verdict is `pixelated` or `clean`. The blocks of a pixelated frame are those that `grid` finds, None where it
    finds none: then the frame is repaired only if the scene's blocks are known.
    """

    name = "mobilenet"

    def __init__(self, tensors: Tensors | None = None) -> None:
        """`tensors`: weights, those that ship unless given."""
        tensors = load_weights(self.name)[1] if tensors is None else tensors
        self._network, self._grid = network_of(tensors, inputs=3, centre=RGB_CENTRE, name=self.name), Grid()

    def __call__(self, luma: Plane, *, max_value: int = 255, chroma: Chroma | None = None) -> Verdict:
        """Judge `luma`, (height, width), uint8 or uint16 in 0..max_value; any size from 1×1, any strides.

        Without `chroma` the frame is taken for grey.
        """
        luma = check_plane(luma, max_value)
        if not is_measurable(luma):
            return Verdict(0.0)
        return _scored(self._network(see_rgb(luma, chroma, max_value=max_value)), self._grid, luma, max_value)


class CannyMobileNet:
    """MobileNetV3-small on Canny's edges of luma at its own resolution: the published method.

    Its verdict is like that of `MobileNet`. The published crop, which breaks on other sizes than Full HD, is left out.
    """

    name = "canny-mobilenet"

    def __init__(self, tensors: Tensors | None = None) -> None:
        """`tensors`: weights, those that ship unless given."""
        tensors = load_weights(self.name)[1] if tensors is None else tensors
        self._network, self._grid = network_of(tensors, inputs=1, centre=EDGES_CENTRE, name=self.name), Grid()

    def __call__(self, luma: Plane, *, max_value: int = 255, chroma: Chroma | None = None) -> Verdict:
        """Judge `luma`, (height, width), uint8 or uint16 in 0..max_value; any size from 1×1, any strides."""
        luma = check_plane(luma, max_value)
        if not is_measurable(luma):
            return Verdict(0.0)
        return _scored(self._network(see_edges(luma, max_value=max_value)), self._grid, luma, max_value)


def see_rgb(luma: Plane, chroma: Chroma | None, *, max_value: int = 255) -> Bytes:
    """The frame in RGB, (3, 224, 224) uint8, each plane sampled (bilinear, not antialiased), then BT.601, full range.

    Area-averaged, validation pictures were told apart less well, and it takes nine times as long.
    """
    y = _levels(_square(luma), max_value)
    blue, red = (_levels(_square(p), max_value) for p in chroma) if chroma else [np.full_like(y, 128)] * 2
    rgb = cv2.cvtColor(cv2.merge([y, red, blue]), cv2.COLOR_YCrCb2RGB)
    return np.ascontiguousarray(rgb.transpose(2, 0, 1), np.uint8)


def see_edges(luma: Plane, *, max_value: int = 255) -> Bytes:
    """Canny's edges of the whole of `luma`, sampled (bilinear, not antialiased) to (1, 224, 224) uint8.

    Aliasing is what shows the lattice: sampled, its lines beat with the grid of samples. Area-averaged, a frame of
    Full HD keeps no more of them than the density of edges.
    """
    edges = cv2.Canny(_levels(luma, max_value), *CANNY)
    return cast(Bytes, _square(cast(Bytes, edges)))[None]


def network_of(tensors: Tensors, *, inputs: int, centre: float, name: str) -> _Network:
    """The network that runs; DeviceError where OpenVINO is missing."""
    try:
        from .mobilenet_openvino import OpenVinoMobileNet
    except ImportError as error:
        raise DeviceError(f"{name} needs OpenVINO, which cannot be used here ({error}); take --method grid") from error
    return OpenVinoMobileNet(tensors, inputs=inputs, classes=len(CLASSES), centre=centre, name=name)


def _scored(logits: NDArray[np.float32], grid: Grid, luma: Plane, max_value: int) -> Verdict:
    other, pixelated = (float(value) for value in logits)
    score = float(1 / (1 + np.exp(np.clip(other - pixelated, -60, 60))))
    if score < 0.5:
        return Verdict(score)
    return Verdict(score, Kind.PIXELATED, grid(luma, max_value=max_value).blocks)


def _square(plane: Plane) -> Plane:
    return cv2.resize(plane, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def _levels(plane: Plane, max_value: int) -> Bytes:
    """`plane` in 8-bit levels."""
    if plane.dtype == np.uint8:
        return cast(Bytes, plane)
    return cast(Bytes, cv2.convertScaleAbs(plane, alpha=255 / max_value))
