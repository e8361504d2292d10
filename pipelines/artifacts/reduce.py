"""Reduces the coding artifacts of the frames that are routed to it."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import DeviceError
from deepclarity.models.artifacts.reducer import ArtifactReducer
from deepclarity.pipelines.detect import Scored, severity_of
from deepclarity.pipelines.records import Summary
from deepclarity.pipelines.route import Routed

log = logging.getLogger(__name__)

_SAME_SEVERITY = 0.05
_OTHER_SCALE = ("vp9",)
"""Codecs whose quantisers compare so loosely with H.264's that a network does better without them."""
_RISE_QP = 1.0
"""How much a quantiser may rise from frame to frame: a frame predicted from a finer one, with little of its own, is not
as coarse as its quantiser says."""

_HELD_FRAMES = {"hevc": 8}
"""Codecs whose frames count as coarse as the finest of so many: pictures between others, coarse by their quantisers,
are made of those by long chains of prediction."""


def reduced(
    routed: Iterable[Routed], reducer: ArtifactReducer | None, summary: Summary, *, skip: int = 0
) -> Iterator[Routed]:
    """The same frames, those that are to be reduced without most of their coding artifacts.

    Without a `reducer` they are left. A frame on which it fails is left and counted in `Summary.fallback`. The first
    `skip` frames are not processed.
    """
    quantisers = _Quantisers()
    for item in routed:
        qp = quantisers.next(item.scored)
        if not item.reduce:
            yield item
        elif reducer is None:
            yield replace(item, reduce=False)
        elif item.frame.index < skip:
            yield item
        else:
            started = time.perf_counter()
            yield _with_less_artifacts(item, reducer, qp, summary)
            summary.add_stage_time("reduce", time.perf_counter() - started)


class _Quantisers:
    """The quantisers of consecutive frames, as far as they describe the damage."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._recent: deque[float] = deque(maxlen=max(_HELD_FRAMES.values()))

    def next(self, scored: Scored) -> float | NDArray[np.float32] | None:
        """The quantiser of the next frame or of each of its blocks; None if it is not known.

        Nor is it where the picture shows an earlier coding that was coarser.
        """
        coding, verdict = scored.frame.coding, scored.verdict
        if coding is None or scored.cut:
            self._recent.clear()
        if coding is None:
            self._last = None
            return None
        highest = coding.qp if self._last is None or scored.cut else self._last + _RISE_QP
        self._recent.append(coding.qp)
        held = list(self._recent)[-_HELD_FRAMES.get(coding.codec, 1) :]
        self._last = min(*held, highest)
        if (verdict.severity or 0) > (severity_of(coding) or 0) + _SAME_SEVERITY or coding.codec in _OTHER_SCALE:
            return None
        if coding.qp_map is None:
            return self._last
        return coding.qp_map - np.float32(coding.qp - self._last)


def _with_less_artifacts(
    item: Routed, reducer: ArtifactReducer, qp: float | NDArray[np.float32] | None, summary: Summary
) -> Routed:
    frame = item.frame
    try:
        planes = reducer(frame.planes, qp=qp, max_value=frame.max_value, subsampling=frame.subsampling)
    except (DeviceError, MemoryError) as error:
        log.warning("frame %d could not be repaired: %s", frame.index, error)
        summary.fallback += 1
        return replace(item, reduce=False)
    return replace(item, reduced=replace(frame, planes=planes, picture=None, changed=True))
