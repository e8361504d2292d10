"""The published detectors `mobilenet` and `canny-mobilenet`: MobileNetV3-small on the full frame, or on its edges.

Both resize the full frame, of any size, to 224×224 and do not keep its aspect ratio. That removes nearly all traces of
blocks from a Full HD frame: these are baselines, not recommended for use.
"""

from __future__ import annotations

from typing import Protocol, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import DeviceError
from deepclarity.models.backends.checks import check_plane
from deepclarity.models.generator import Tensors
from deepclarity.models.verdict import Bytes, Chroma, Kind, Plane, Verdict
from deepclarity.models.weights import load_weights

from .grid import Grid
from .lattice import is_scorable
from .mobilenet_v3 import SIDE_PX
from .profiles import as_bytes

CLASSES = ("other", "pixelated")
RGB_CENTRE, EDGES_CENTRE = 128.0, 0.0
"""The neutral input level, subtracted before the network."""
CANNY = 10, 10
"""Canny's lower and upper threshold, on 8-bit luma; aperture 3, L1 norm. Higher ones find no blocks in smooth areas."""


class _Network(Protocol):
    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]: ...


class MobileNet:
    """MobileNetV3-small on the frame in colour: the published baseline.

    Its verdict is `pixelated` or `clean`. The blocks of a pixelated frame are those that `grid` finds, or None if it
    finds none: then the frame is repaired only if the blocks of its scene are known.
    """

    name = "mobilenet"

    def __init__(self, tensors: Tensors | None = None) -> None:
        """`tensors`: weights, by default those that ship."""
        tensors = load_weights(self.name)[1] if tensors is None else tensors
        self._network, self._grid = build_network(tensors, inputs=3, centre=RGB_CENTRE, name=self.name), Grid()

    def __call__(self, luma: Plane, *, max_value: int = 255, chroma: Chroma | None = None) -> Verdict:
        """Score `luma`, (height, width), uint8 or uint16 in 0..max_value; any size from 1×1, any strides.

        Without `chroma` the frame is treated as grey.
        """
        luma = check_plane(luma, max_value)
        if not is_scorable(luma):
            return Verdict(0.0)
        return _verdict(self._network(preprocess_rgb(luma, chroma, max_value=max_value)), self._grid, luma, max_value)


class CannyMobileNet:
    """MobileNetV3-small on Canny's edges of luma at its own resolution: the published method.

    Its verdict is like that of `MobileNet`. The published crop, which fails on sizes other than Full HD, is left out.
    """

    name = "canny-mobilenet"

    def __init__(self, tensors: Tensors | None = None) -> None:
        """`tensors`: weights, by default those that ship."""
        tensors = load_weights(self.name)[1] if tensors is None else tensors
        self._network, self._grid = build_network(tensors, inputs=1, centre=EDGES_CENTRE, name=self.name), Grid()

    def __call__(self, luma: Plane, *, max_value: int = 255, chroma: Chroma | None = None) -> Verdict:
        """Score `luma`, (height, width), uint8 or uint16 in 0..max_value; any size from 1×1, any strides.

        `chroma` is ignored.
        """
        luma = check_plane(luma, max_value)
        if not is_scorable(luma):
            return Verdict(0.0)
        return _verdict(self._network(preprocess_edges(luma, max_value=max_value)), self._grid, luma, max_value)


def preprocess_rgb(luma: Plane, chroma: Chroma | None, *, max_value: int = 255) -> Bytes:
    """The frame in RGB, (3, 224, 224) uint8: each plane resized (bilinear, no antialiasing), then BT.601, full range.

    Area averaging classified validation pictures less accurately and takes nine times as long.
    """
    y = as_bytes(_resize(luma), max_value)
    blue, red = (as_bytes(_resize(p), max_value) for p in chroma) if chroma else [np.full_like(y, 128)] * 2
    rgb = cv2.cvtColor(cv2.merge([y, red, blue]), cv2.COLOR_YCrCb2RGB)
    return np.ascontiguousarray(rgb.transpose(2, 0, 1), np.uint8)


def preprocess_edges(luma: Plane, *, max_value: int = 255) -> Bytes:
    """Canny's edges of all of `luma`, resized (bilinear, no antialiasing) to (1, 224, 224) uint8.

    Aliasing is what shows the lattice: its lines form a beat pattern with the grid of samples. Area averaging of a Full
    HD frame keeps nothing of them but the density of edges.
    """
    edges = cv2.Canny(as_bytes(luma, max_value), *CANNY)
    return cast(Bytes, _resize(cast(Bytes, edges)))[None]


def build_network(tensors: Tensors, *, inputs: int, centre: float, name: str) -> _Network:
    """The network, by OpenVINO; DeviceError if that cannot be imported."""
    try:
        from .mobilenet_openvino import OpenVinoMobileNet
    except ImportError as error:
        raise DeviceError(f"{name} needs OpenVINO, which cannot be used here ({error}); use --method grid") from error
    return OpenVinoMobileNet(tensors, inputs=inputs, classes=len(CLASSES), centre=centre, name=name)


def _verdict(logits: NDArray[np.float32], grid: Grid, luma: Plane, max_value: int) -> Verdict:
    other, pixelated = (float(value) for value in logits)
    score = float(1 / (1 + np.exp(np.clip(other - pixelated, -60, 60))))
    if score < 0.5:
        return Verdict(score)
    return Verdict(score, Kind.PIXELATED, grid(luma, max_value=max_value).blocks)


def _resize(plane: Plane) -> Plane:
    return cv2.resize(plane, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]
