"""Pipeline stage that records every frame for the report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from deepclarity.models.verdict import Kind
from deepclarity.pipelines.enhance import Enhanced
from deepclarity.pipelines.records import FrameRecord, Lane, Summary
from deepclarity.pipelines.route import Routed
from deepclarity.stream.frame import Frame, Planes
from deepclarity.stream.info import Colour
from deepclarity.stream.planes import rgb_of

from .pictures import Comparison
from .report import Report


class Recorder:
    """Adds a record of every frame to `report`, and before/after pictures of the worst ones if wanted."""

    def __init__(self, summary: Summary, pixel_format: str, colour: Colour, *, keep_pictures: bool) -> None:
        """`pixel_format`, `colour`: of the frames; `keep_pictures`: whether to add before/after pictures."""
        self.summary = summary
        self.report = Report()
        self._pixel_format = pixel_format
        self._colour = colour
        self._keep_pictures = keep_pictures

    def record(self, enhanced: Iterable[Enhanced]) -> Iterator[Frame]:
        """Record every frame and pass it on unchanged."""
        for item in enhanced:
            record = frame_record(item.routed)
            self.report.add(record)
            processed = item.frame is not item.routed.frame  # False if an earlier run, now resumed, did it
            if self._keep_pictures and processed and record.lane is Lane.ENHANCE and self.report.would_keep(record):
                self.report.add_comparison(self._comparison(item, record))
            yield item.frame

    def _comparison(self, item: Enhanced, record: FrameRecord) -> Comparison:
        after = self._rgb(item.frame.planes)
        before = self._rgb(item.routed.frame.planes)
        size = after.shape[1], after.shape[0]
        return Comparison(
            index=record.index,
            time_s=record.time_s,
            score=record.score,
            before=np.asarray(cv2.resize(before, size, interpolation=cv2.INTER_NEAREST), np.uint8),
            after=after,
        )

    def _rgb(self, planes: Planes) -> NDArray[np.uint8]:
        return rgb_of(planes, self._pixel_format, self._colour)


def frame_record(routed: Routed) -> FrameRecord:
    """The record of one frame."""
    verdict, frame = routed.scored.verdict, routed.frame
    return FrameRecord(
        index=frame.index,
        time_s=frame.time_s,
        score=verdict.score,
        kind=verdict.kind,
        block_px=verdict.blocks.width_px if verdict.blocks and verdict.kind is not Kind.CLEAN else None,
        lane=routed.lane,
        severity=verdict.severity,
        steady_kind=routed.kind,
    )
