"""A decoded picture with its timestamps, on its way from the decoder to a `Frame`."""

from __future__ import annotations

from dataclasses import dataclass

from av.video.frame import VideoFrame

from deepclarity.stream.coding import Coding
from deepclarity.stream.user_data.messages import Messages

from .modes import Deinterlaced, FieldOrder


@dataclass(frozen=True, slots=True)
class TimedPicture:
    """A decoded picture; times in ticks of the source's time base."""

    picture: VideoFrame
    """Read for detection and repair."""
    pts: int
    duration: int
    """0 if unknown."""
    intact: bool = True
    coding: Coding | None = None
    deinterlaced: Deinterlaced | None = None
    """How `picture` was made from interlaced ones; None if it was decoded so."""
    original: VideoFrame | None = None
    """The interlaced picture that is encoded if `picture` is not repaired; None: `picture` itself."""
    order: FieldOrder | None = None
    """Field order of `original`."""
    user_data: Messages = ()
    """Captions and dynamic HDR metadata."""
