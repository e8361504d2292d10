"""Value types: a segment of a file, and how decoding can begin at it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from deepclarity.stream.packets import AnyPacket


class Entry(StrEnum):
    """Whether decoding can begin at a picture."""

    CLOSED = "closed"
    """It can, and nothing that follows refers to anything before: IDR pictures, key frames of VP9 and AV1."""
    OPEN = "open"
    """It can, but pictures shown before it lean on the segment before: recovery points of H.264, CRA of HEVC."""
    NONE = "none"
    """It cannot."""


@dataclass(frozen=True)
class Segment:
    """The packets from one entry to the next, in decoding order."""

    entry: Entry
    packets: tuple[AnyPacket, ...]
    """Empty if they are too many bytes to hold."""
    packet_pts: tuple[int, ...]
    """The presentation time of each packet, in decoding order, in ticks of the track."""
    obstacle: str | None = None
    """Why its packets must not be copied; None: they may be, if no frame is to be repaired."""

    @cached_property
    def frame_pts(self) -> tuple[int, ...]:
        """The presentation times in the order in which the frames are shown."""
        return tuple(sorted(self.packet_pts))

    @cached_property
    def reorder_depth(self) -> int:
        """By how many places at most a frame is shown earlier than it is decoded."""
        places = {pts: place for place, pts in enumerate(self.frame_pts)}
        return max((index - places[pts] for index, pts in enumerate(self.packet_pts)), default=0)
