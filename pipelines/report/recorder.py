"""What the corridor notes down for the report as frames pass by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from deepclarity.models.verdict import Kind
from deepclarity.pipelines.enhance import Done
from deepclarity.pipelines.records import FrameRecord, Lane, Summary
from deepclarity.pipelines.route import Routed
from deepclarity.stream.frame import Frame, Planes
from deepclarity.stream.info import Colour
from deepclarity.stream.planes import rgb_of

from .report import Comparison, Report


class Notes:
    """Takes down a line for every frame, and before/after pictures of the worst ones where they are wanted."""

    def __init__(self, summary: Summary, planar: str, colour: Colour, *, want_pictures: bool) -> None:
        """`planar`, `colour`: the pixel format and colour tags of the frames, for the pictures."""
        self.summary = summary
        self.report = Report()
        self._planar = planar
        self._colour = colour
        self._want_pictures = want_pictures

    def taken(self, done: Iterable[Done]) -> Iterator[Frame]:
        """Pass every frame on, noted."""
        for item in done:
            record = record_of(item.routed)
            self.report.add(record)
            worked_on = item.frame is not item.routed.frame  # not by an earlier run that is resumed
            if self._want_pictures and worked_on and record.lane is Lane.ENHANCE and self.report.wants(record):
                self.report.compare(self._comparison(item, record))
            yield item.frame

    def _comparison(self, item: Done, record: FrameRecord) -> Comparison:
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
        return rgb_of(planes, self._planar, self._colour)


def record_of(routed: Routed) -> FrameRecord:
    """One frame's line."""
    verdict, frame = routed.scored.verdict, routed.frame
    return FrameRecord(
        index=frame.index,
        time_s=frame.time_s,
        score=verdict.score,
        kind=verdict.kind,
        block_px=verdict.blocks.width_px if verdict.blocks and verdict.kind is not Kind.CLEAN else None,
        lane=routed.lane,
    )
