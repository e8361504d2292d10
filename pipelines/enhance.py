"""Enhancement stage: brings every frame to the output size by passing, resizing or repairing it."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from deepclarity.errors import DeviceError
from deepclarity.models.artifacts.reducer import ArtifactReducer
from deepclarity.models.verdict import Plane
from deepclarity.stream.frame import Frame
from deepclarity.stream.planes import resized
from deepclarity.stream.user_data.messages import without_active_format

from .artifacts.reduce import reduced
from .blend import MaskTracker, RepairMask, blend, map_of
from .executor import Executor, Pending, RepairRequest
from .fit import Fit
from .records import Lane, Summary
from .route import Routed

log = logging.getLogger(__name__)

_LIVE_EVERYWHERE = 0.5
"""Support of the block map from which a live frame is repaired everywhere."""
_MAX_FAILURES = 5
"""Consecutive failures after which the device counts as lost."""


@dataclass(frozen=True, slots=True)
class Enhanced:
    """A frame ready for the sink, and the routed frame it was made from."""

    frame: Frame
    routed: Routed


def enhance(
    routed: Iterable[Routed],
    executor: Executor | None,
    fit: Fit,
    summary: Summary,
    *,
    skip: int = 0,
    reducer: ArtifactReducer | None = None,
) -> Iterator[Enhanced]:
    """Bring every frame to the output size by its lane, in order.

    `reducer`: reduces the artifacts of blocky frames first, at their own size; without one they are left.
    The first `skip` frames are counted but not processed: an earlier run has already written them.

    A frame that cannot be repaired is resized instead and counted in `Summary.fallback`; after five consecutive
    failures DeviceError is raised.
    """
    failures = 0
    for started in _in_flight(reduced(routed, reducer, summary, skip=skip), executor, fit, skip=skip):
        item, clock = started.routed, time.perf_counter()
        lane, frame = item.lane, item.reduced or item.frame
        if frame.index < skip:
            _count(Lane.ENHANCE if item.reduce else lane, item.frame, summary)
            yield Enhanced(frame, item)
            continue
        if started.pending is not None and executor is not None:
            try:
                frame = _repaired(started, output_size(frame, fit))
                failures = 0
            except (DeviceError, MemoryError) as error:
                failures += 1
                if failures >= _MAX_FAILURES:
                    raise DeviceError(f"{executor.backend}: failed on {failures} frames in a row: {error}") from error
                log.warning("frame %d could not be repaired and was resized: %s", frame.index, error)
                summary.fallback += 1
                lane = Lane.RESIZE
        if (frame is item.frame or frame is item.reduced) and frame.size != fit.size:
            frame, lane = resized(frame, output_size(frame, fit)), Lane.RESIZE
        if frame.size != fit.canvas:
            frame = _padded(frame, fit)
        lane = Lane.ENHANCE if item.reduce else lane
        if lane is not Lane.PASS:
            summary.add_stage_time(lane.value, started.busy_s + time.perf_counter() - clock)
        _count(lane, item.frame, summary)
        yield Enhanced(frame, replace(item, lane=lane))


def _repaired(started: _Started, size: tuple[int, int]) -> Frame:
    """The frame at `size`, repaired where its mask says so."""
    frame, mask = started.routed.frame, started.mask
    assert started.pending is not None
    planes = started.pending.result()
    if mask is not None:
        before = frame if frame.size == size else resized(frame, size)
        planes = blend(before.planes, planes, mask)
    return replace(frame, planes=planes, picture=None, changed=True)


@dataclass(frozen=True, slots=True)
class _Started:
    """A frame whose repair, if it needs one, has been submitted."""

    routed: Routed
    pending: Pending | None
    mask: RepairMask | None
    """Where the repair applies; None: everywhere."""
    busy_s: float


def _in_flight(routed: Iterable[Routed], executor: Executor | None, fit: Fit, *, skip: int) -> Iterator[_Started]:
    """Submit the repairs, and yield the frames in order once the executor has enough of them in flight.

    An error in `routed` is raised after the frames that precede it.
    """
    waiting: deque[_Started] = deque()
    failure: Exception | None = None
    tracker = MaskTracker()
    try:
        for each in routed:
            began, pending = time.perf_counter(), None
            item, mask = _tested(each, tracker, fit) if executor is not None else (each, None)
            if item.lane is Lane.ENHANCE and executor is not None and item.frame.index >= skip:
                pending = executor.submit(_request(item, fit))
            waiting.append(_Started(item, pending, mask, time.perf_counter() - began))
            if len(waiting) > (executor.in_flight if executor else 0):
                yield waiting.popleft()
    except Exception as error:
        failure = error
    if executor is not None:
        executor.flush()
    yield from waiting
    if failure is not None:
        raise failure


def _tested(item: Routed, tracker: MaskTracker, fit: Fit) -> tuple[Routed, RepairMask | None]:
    """Test the blocks on the frame itself: where the repair applies, and another lane if it applies nowhere."""
    if item.lane is not Lane.ENHANCE or item.blocks is None or item.everywhere:
        return item, None
    frame, found = item.frame, item.scored.block_map
    if found is None or item.scored.verdict.blocks != item.blocks:
        found = map_of(frame.luma, item.blocks, max_value=frame.max_value)
    mask = tracker.next(found, item.blocks, cut=item.scored.cut)
    if not mask.is_empty:
        # Blending costs more than a live stream on two cores has to spare; parts of a frame are still kept apart.
        everywhere = frame.arrived_s is not None and mask.support >= _LIVE_EVERYWHERE
        return item, None if everywhere else mask
    lane = Lane.ENHANCE if item.always else Lane.RESIZE if fit.resizes else Lane.PASS
    return replace(item, lane=lane, blocks=None), None


def _request(item: Routed, fit: Fit) -> RepairRequest:
    frame = item.frame
    return RepairRequest(
        frame.planes,
        blocks=item.blocks,
        size=output_size(frame, fit),
        max_value=frame.max_value,
        subsampling=frame.subsampling,
    )


def _count(lane: Lane, frame: Frame, summary: Summary) -> None:
    summary.repaired += lane is Lane.ENHANCE
    summary.resized += lane is Lane.RESIZE
    summary.passed += lane is Lane.PASS and (not frame.deinterlaced or frame.field_order is not None)
    summary.deinterlaced += frame.deinterlaced and lane is not Lane.PASS


def output_size(frame: Frame, fit: Fit) -> tuple[int, int]:
    """The size (width, height) of `frame` in the output; if the source changed size midway, the largest that fits."""
    if frame.size == fit.source:
        return fit.size
    width, height = frame.size
    scale = min(fit.canvas[0] / width, fit.canvas[1] / height)
    size = max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)
    return min(size[0], fit.canvas[0]), min(size[1], fit.canvas[1])  # the canvas of pictures may be odd


def _padded(frame: Frame, fit: Fit) -> Frame:
    """`frame` centred on a black frame of size `fit.canvas`."""
    grey, black = (frame.max_value + 1) // 2, 0 if frame.full_range else 16 << (frame.depth - 8)
    left, top = ((outer - inner) // 4 * 2 for outer, inner in zip(fit.canvas, frame.size, strict=True))
    luma = _padded_plane(frame.planes[0], fit.canvas, (left, top), (1, 1), fill=black)
    blue, red = (_padded_plane(p, fit.canvas, (left, top), frame.subsampling, fill=grey) for p in frame.planes[1:])
    alpha = frame.alpha
    if alpha is not None:
        resized_alpha = cv2.resize(alpha, frame.size, interpolation=cv2.INTER_AREA)
        alpha = _padded_plane(resized_alpha, fit.canvas, (left, top), (1, 1), fill=frame.max_value)  # type: ignore[arg-type]
    user_data = without_active_format(frame.user_data)
    return replace(frame, planes=(luma, blue, red), picture=None, alpha=alpha, changed=True, user_data=user_data)


def _padded_plane(
    plane: Plane, canvas: tuple[int, int], corner: tuple[int, int], subsampling: tuple[int, int], *, fill: int
) -> Plane:
    across, down = subsampling
    padded = np.full((-(-canvas[1] // down), -(-canvas[0] // across)), fill, plane.dtype)
    x, y = corner[0] // across, corner[1] // down
    padded[y : y + plane.shape[0], x : x + plane.shape[1]] = plane
    return padded
