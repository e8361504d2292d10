"""Artifact reduction of Y'CbCr planes: any subsampling and depth; blocks that were coded finely stay as they are."""

from __future__ import annotations

from typing import Protocol, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from deepclarity.models.verdict import Bytes, Plane
from deepclarity.models.weights import load_weights, read_manifest

from .architecture import FOLD, ReducerNet, check_shapes, scaled_quantiser

Planes = tuple[Plane, Plane, Plane]
Quantisers = NDArray[np.float32]

_FINE_QP, _COARSE_QP = 25.0, 29.0
"""Blocks up to the first quantiser are not changed at all, from the second on entirely."""
_SOFT_CELLS = 5
"""Width of the edge, in cells of 2x2 pixels, between blocks that are changed and those that are not."""
_MACROBLOCK_CELLS = 8


class _Backend(Protocol):
    backend: str

    def run(self, planes: Planes, known: Quantisers, *, max_value: int) -> Planes: ...

    def close(self) -> None: ...


class ArtifactReducer:
    """Repairs macroblocks at the picture's own size. To be used from one thread at a time."""

    def __init__(self, name: str, backend: _Backend) -> None:
        self.name, self._backend = name, backend

    @property
    def backend(self) -> str:
        """Description of the back end for people."""
        return self._backend.backend

    def __call__(
        self,
        planes: Planes,
        *,
        qp: float | Quantisers | None,
        max_value: int = 255,
        subsampling: tuple[int, int] = (2, 2),
    ) -> Planes:
        """Repair luma (height, width), Cb and Cr, uint8 or uint16 in 0..max_value; new arrays of the same shapes.

        `qp`: the quantiser on H.264's scale: of the picture, or of each macroblock (rows, columns); None: unknown, as
        in a picture that was coded before its last coding. `subsampling`: luma samples per chroma sample, (x, y).
        """
        height, width = planes[0].shape
        size = (height + height % FOLD, width + width % FOLD)
        cells = size[0] // FOLD, size[1] // FOLD
        luma = _padded(planes[0], size)
        halves = [_to_cells(plane, cells, subsampling) for plane in planes[1:]]
        known, quantisers = _known(qp, cells)
        after = self._backend.run((luma, halves[0], halves[1]), known, max_value=max_value)
        weights = None if quantisers is None else _weights(quantisers)
        result = [_mixed(luma, after[0], weights, FOLD)[:height, :width]]
        for plane, before, changed in zip(planes[1:], halves, after[1:], strict=True):
            mixed = _mixed(before, changed, weights, 1)
            result.append(_from_cells(plane, before, mixed, subsampling, max_value))
        return result[0], result[1], result[2]

    def close(self) -> None:
        """Release buffers and device memory."""
        self._backend.close()


def load_reducer(tier: str, *, device: str = "cpu") -> ArtifactReducer | None:
    """The reducer that goes with an enhancer tier; None for `lanczos`, which has no network.

    `device`: `cpu`, or `cuda:N` for torch.
    """
    name = reducer_name(tier)
    if name is None:
        return None
    record, tensors = load_weights(name)
    net = ReducerNet(**record.architecture)
    check_shapes(net, tensors, name=name)
    return ArtifactReducer(name, _backend_for(net, tensors, device))


def reducer_name(tier: str) -> str | None:
    """The name of the weights that go with a tier: the larger network for the `srgan` tiers, if it ships."""
    if tier in ("lanczos", "none"):
        return None
    known = read_manifest()
    large = "srgan-artifacts"
    return large if tier.startswith("srgan") and large in known else "turbo-artifacts"


def _backend_for(net: ReducerNet, tensors: dict[str, NDArray[np.float32]], device: str) -> _Backend:
    if device.startswith("cuda"):
        from .torch import TorchReducer

        return TorchReducer(net, tensors, device=device)
    try:
        from .openvino import OpenVinoReducer
    except ImportError:
        from .torch import TorchReducer

        return TorchReducer(net, tensors)
    return OpenVinoReducer(net, tensors)


def _padded(plane: Plane, size: tuple[int, int]) -> Plane:
    height, width = plane.shape
    if (height, width) == size:
        return plane
    return cast("Plane", cv2.copyMakeBorder(plane, 0, size[0] - height, 0, size[1] - width, cv2.BORDER_REPLICATE))


def _to_cells(plane: Plane, cells: tuple[int, int], subsampling: tuple[int, int]) -> Plane:
    """Chroma on the grid of cells: as it is in 4:2:0, else reduced to it."""
    if subsampling == (FOLD, FOLD):
        return _padded(plane, cells)
    return cast("Plane", cv2.resize(plane, cells[::-1], interpolation=cv2.INTER_AREA))


def _from_cells(plane: Plane, before: Plane, after: Plane, subsampling: tuple[int, int], max_value: int) -> Plane:
    """Chroma with the change that was made on the grid of cells."""
    height, width = plane.shape
    if subsampling == (FOLD, FOLD):
        return after[:height, :width]
    change = after.astype(np.float32) - before.astype(np.float32)
    change = cast("NDArray[np.float32]", cv2.resize(change, (width, height), interpolation=cv2.INTER_LINEAR))
    return cast("Plane", np.clip(np.rint(plane + change), 0, max_value).astype(plane.dtype))


def _known(qp: float | Quantisers | None, cells: tuple[int, int]) -> tuple[Quantisers, Quantisers | None]:
    """The planes for the network, (2, h, w), and the quantiser of each cell if it differs from block to block."""
    given = np.zeros((2, *cells), np.float32)
    if qp is None:
        return given, None
    given[1] = 1
    if not isinstance(qp, np.ndarray):
        given[0] = scaled_quantiser(float(qp))
        return given, None
    rows = len(qp)
    if (rows - 1) * _MACROBLOCK_CELLS < cells[0] <= rows * _MACROBLOCK_CELLS:
        large = np.repeat(np.repeat(qp, _MACROBLOCK_CELLS, axis=0), _MACROBLOCK_CELLS, axis=1)[: cells[0], : cells[1]]
    else:
        large = qp
    if large.shape != cells:
        large = cast("Quantisers", cv2.resize(qp, cells[::-1], interpolation=cv2.INTER_NEAREST))
    given[0] = scaled_quantiser(large)
    return given, large.astype(np.float32)


def _weights(quantisers: Quantisers) -> Bytes | None:
    """The weight of the repair for each cell, in 255ths, soft-edged; None if it is 255 everywhere."""
    share = np.clip((quantisers - _FINE_QP) / (_COARSE_QP - _FINE_QP), 0, 1)
    if (share >= 1).all():
        return None
    weights = np.rint(share * 255).astype(np.uint8)
    blurred = cv2.blur(weights, (_SOFT_CELLS, _SOFT_CELLS), borderType=cv2.BORDER_REPLICATE)
    return cast("Bytes", cv2.min(weights, blurred))  # softened inwards: blocks that are left out stay at 0


def _mixed(before: Plane, after: Plane, weights: Bytes | None, factor: int) -> Plane:
    """`before` where the weight is 0, bit for bit, `after` where it is 255, and a mixture between."""
    if weights is None:
        return after
    large = np.repeat(np.repeat(weights, factor, axis=0), factor, axis=1) if factor > 1 else weights
    one, other, share = before.astype(np.uint32), after.astype(np.uint32), large.astype(np.uint32)
    mixed = (one * (255 - share) + other * share + 127) // 255
    return cast("Plane", mixed.astype(before.dtype))
