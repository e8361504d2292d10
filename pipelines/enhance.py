"""Every frame leaves at the output's size: untouched, resized, or repaired."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from deepclarity.errors import DeviceError
from deepclarity.models.enhancer import Enhancer
from deepclarity.models.verdict import Blocks, Plane
from deepclarity.stream.frame import Frame
from deepclarity.stream.planes import resized

from .fit import Fit
from .records import Lane, Summary
from .restore import restore
from .route import Routed

log = logging.getLogger(__name__)

_PATIENCE = 5
"""Failures in a row after which a device counts as lost."""


@dataclass(frozen=True, slots=True)
class Done:
    """A frame ready for the encoder, and how it came to be."""

    frame: Frame
    routed: Routed


def enhance(
    routed: Iterable[Routed], enhancer: Enhancer | None, fit: Fit, summary: Summary, *, skip: int = 0
) -> Iterator[Done]:
    """Bring every frame to the output's size down its lane, in order.

    The first `skip` frames are counted but not worked on: an earlier run has them done.

    A frame that cannot be repaired goes on resized and is counted; when that happens to several in a row,
    the device is given up with DeviceError.
    """
    failures = 0
    for item in routed:
        began = time.perf_counter()
        lane, frame = item.lane, item.frame
        if frame.index < skip:
            _count(lane, summary)
            yield Done(frame, item)
            continue
        if lane is Lane.ENHANCE and enhancer is not None:
            try:
                frame = _repaired(frame, enhancer, item.blocks, fit)
                failures = 0
            except (DeviceError, MemoryError) as error:
                failures += 1
                if failures >= _PATIENCE:
                    raise DeviceError(f"{enhancer.backend}: failed on {failures} frames in a row: {error}") from error
                log.warning("frame %d could not be repaired and was resized: %s", frame.index, error)
                summary.fallback += 1
                lane = Lane.RESIZE
        if frame is item.frame and frame.size != fit.size:
            frame, lane = resized(frame, inside(frame, fit)), Lane.RESIZE
        if frame.size != fit.canvas:
            frame = _on_canvas(frame, fit)
        if lane is not Lane.PASS:
            summary.spent(lane.value, time.perf_counter() - began)
        _count(lane, summary)
        yield Done(frame, replace(item, lane=lane))


def _count(lane: Lane, summary: Summary) -> None:
    summary.repaired += lane is Lane.ENHANCE
    summary.resized += lane is Lane.RESIZE
    summary.passed += lane is Lane.PASS


def inside(frame: Frame, fit: Fit) -> tuple[int, int]:
    """The size that `frame` gets: the output's, or where pictures change their shape on the way, what fits into it."""
    if frame.size == fit.source:
        return fit.size
    width, height = frame.size
    scale = min(fit.canvas[0] / width, fit.canvas[1] / height)
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def _repaired(frame: Frame, enhancer: Enhancer, blocks: Blocks | None, fit: Fit) -> Frame:
    planes = restore(
        frame.planes,
        enhancer=enhancer,
        blocks=blocks,
        size=inside(frame, fit),
        max_value=frame.max_value,
        subsampling=frame.subsampling,
    )
    return replace(frame, planes=planes, picture=None)


def _on_canvas(frame: Frame, fit: Fit) -> Frame:
    """`frame` in the middle of a black frame of `fit.canvas`."""
    grey, black = (frame.max_value + 1) // 2, 0 if frame.full_range else 16 << (frame.depth - 8)
    left, top = ((whole - part) // 4 * 2 for whole, part in zip(fit.canvas, frame.size, strict=True))
    luma = _framed(frame.planes[0], fit.canvas, (left, top), (1, 1), fill=black)
    blue, red = (_framed(p, fit.canvas, (left, top), frame.subsampling, fill=grey) for p in frame.planes[1:])
    return replace(frame, planes=(luma, blue, red), picture=None)


def _framed(
    plane: Plane, canvas: tuple[int, int], corner: tuple[int, int], subsampling: tuple[int, int], *, fill: int
) -> Plane:
    across, down = subsampling
    framed = np.full((-(-canvas[1] // down), -(-canvas[0] // across)), fill, plane.dtype)
    x, y = corner[0] // across, corner[1] // down
    framed[y : y + plane.shape[0], x : x + plane.shape[1]] = plane
    return framed
