"""When a decoded picture is shown, if its file does not say so correctly.

FFmpeg's rule (`guess_correct_pts` in libavcodec): a picture has a presentation time, and the decoding time of the
packet that brought it out. Both must increase from picture to picture; whichever has failed to more rarely is taken.
The last pictures, which no packet brings out, have no decoding time: none is better than one that has failed.

One exception: a timestamp that is plainly damaged is replaced, and does not count as a failure. FFmpeg would keep it,
and take decoding times from then on, which are those of other pictures wherever one is lost.
"""

from __future__ import annotations

from av.video.frame import VideoFrame

_JUMP_FRAMES = 50
"""A timestamp this far from its predecessor, while the other goes on evenly, is damaged."""


class BestEffortTimestamps:
    """The timestamps of consecutive pictures."""

    def __init__(self, *, step: int, decoding_order_only: bool = False) -> None:
        """`step`: usual interval between pictures, in ticks.

        `decoding_order_only`: the container stores no presentation times (AVI); what FFmpeg makes up is wrong.
        """
        self._jump = _JUMP_FRAMES * step
        self._decoding_order_only = decoding_order_only
        self._last_pts: int | None = None
        self._last_dts: int | None = None
        self._faulty_pts = 0
        self._faulty_dts = 0
        self._has_dts = False

    def _jumps(self, time: int | None, last: int | None) -> bool:
        return time is not None and last is not None and abs(time - last) > self._jump

    def of(self, picture: VideoFrame) -> int | None:
        """The timestamp of the next picture in the stream's time base; None if it has none that is to be believed."""
        pts, dts = picture.pts, picture.dts
        if self._jumps(pts, self._last_pts) and dts is not None and not self._jumps(dts, self._last_dts):
            pts = dts  # a single damaged timestamp; at the start of a new timeline both jump
        self._has_dts = self._has_dts or dts is not None
        if dts is not None:
            self._faulty_dts += self._last_dts is not None and dts <= self._last_dts
            self._last_dts = dts
        elif pts is not None:
            self._last_dts = pts
        if pts is not None:
            self._faulty_pts += self._last_pts is not None and pts <= self._last_pts
            self._last_pts = pts
        elif dts is not None:
            self._last_pts = dts
        believed = self._faulty_pts <= self._faulty_dts and (self._faulty_dts > 0 or not self._decoding_order_only)
        return pts if believed and pts is not None else dts if self._has_dts else pts
