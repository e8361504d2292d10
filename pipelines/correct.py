"""Still pictures: repairs one if it is pixelated."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepclarity.errors import UsageError
from deepclarity.models.artifacts.reducer import ArtifactReducer
from deepclarity.models.enhancer import Enhancer
from deepclarity.models.verdict import Blocks, Detector, Kind, Verdict
from deepclarity.stream.files.still import Picture
from deepclarity.stream.frame import Planes

from .blend import restore_locally
from .detect import detect_picture
from .restore import restore
from .route import Routing

_MAX_PX = 400_000_000


@dataclass(frozen=True, slots=True)
class Corrected:
    """The result of `correct`."""

    picture: Picture
    """The repaired picture; the input object itself if it was left unchanged."""
    verdict: Verdict
    repaired: bool


def correct(
    picture: Picture,
    *,
    detector: Detector,
    enhancer: Enhancer,
    scale: float = 1.0,
    force: bool = False,
    repair: Collection[Kind] = Routing().repair,
    reducer: ArtifactReducer | None = None,
) -> Corrected:
    """Repair `picture` if it is of one of the kinds in `repair`, at its own size times `scale`.

    `reducer`: repairs blocky pictures; without one they are left. A `scale` other than 1 resizes it, and `force` runs
    the network on it, regardless of the verdict; otherwise a clean picture is returned unchanged. Raises UsageError if
    the result would exceed 400 megapixels.
    """
    planes = picture.planes
    verdict, _ = detect_picture(planes[0], detector, max_value=picture.max_value, chroma=planes[1:])
    if not force and scale == 1 and not needs_repair(verdict, repair, reducer):
        return Corrected(picture, verdict, repaired=False)
    height, width = planes[0].shape
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if size[0] * size[1] > _MAX_PX:
        raise UsageError(f"a picture of {size[0]}x{size[1]} pixels is too large. Choose a smaller --scale.")
    repaired = correct_planes(
        planes,
        verdict,
        enhancer=enhancer,
        size=size,
        max_value=picture.max_value,
        subsampling=(1, 1),
        force=force,
        repair=repair,
        reducer=reducer,
    )
    if repaired is None:
        return Corrected(picture, verdict, repaired=False)
    return Corrected(picture.with_planes(repaired, before=planes), verdict, repaired=True)


def needs_repair(verdict: Verdict, repair: Collection[Kind], reducer: ArtifactReducer | None) -> bool:
    """Whether a picture with this verdict has a repair, and its kind is in `repair`."""
    reduced = verdict.kind is Kind.BLOCKY and reducer is not None
    return verdict.kind in repair and (verdict.pixelated or verdict.factors is not None or reduced)


def correct_planes(
    planes: Planes,
    verdict: Verdict,
    *,
    enhancer: Enhancer,
    size: tuple[int, int],
    max_value: int,
    subsampling: tuple[int, int],
    force: bool,
    repair: Collection[Kind] = Routing().repair,
    reducer: ArtifactReducer | None = None,
) -> Planes | None:
    """Repair planes where they bear the verdict's blocks out, at `size` (width, height).

    None if they do so nowhere, unless `force` is set or the size changes: then the network runs on all of them. A soft
    picture is reduced to its native size first, if it is to be repaired.
    """
    options: dict[str, Any] = {
        "enhancer": enhancer,
        "size": size,
        "max_value": max_value,
        "subsampling": subsampling,
    }
    if verdict.kind is Kind.BLOCKY and Kind.BLOCKY in repair and reducer is not None:
        planes = reducer(planes, qp=None, max_value=max_value, subsampling=subsampling)
        if size == planes[0].shape[::-1]:
            return planes
    if verdict.factors is not None and verdict.kind in repair:
        return restore(planes, blocks=Blocks(*verdict.factors), **options)
    blocks = verdict.blocks if verdict.pixelated and verdict.kind in repair else None
    if blocks is not None:
        repaired = restore_locally(planes, blocks=blocks, **options)
        if repaired is not None or (not force and size == planes[0].shape[::-1]):
            return repaired
    return restore(planes, blocks=None, **options)


def side_by_side(before: Picture, after: Picture) -> Picture:
    """Both pictures side by side, `before` enlarged by nearest neighbour to the size of `after`, divided by a line."""
    height, width = after.pixels.shape[:2]
    rows = np.arange(height) * before.pixels.shape[0] // height
    columns = np.arange(width) * before.pixels.shape[1] // width
    left = before.pixels[rows][:, columns]
    line = np.full((height, max(2, width // 400), 3), after.max_value, after.pixels.dtype)
    return Picture(np.hstack([left, line, after.pixels]))
