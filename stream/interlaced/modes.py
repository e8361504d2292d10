"""Deinterlacing modes, and what was done to a frame."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DeinterlaceMode(StrEnum):
    """What is done about interlaced and telecined video."""

    AUTO = "auto"
    """Interlaced pictures that are resized or repaired become frames; hard telecine becomes film frames."""
    OFF = "off"
    """Both fields of a picture stay together."""
    FRAME = "frame"
    """One frame per picture: the frame rate is kept."""
    FIELD = "field"
    """One frame per field of an interlaced picture: the frame rate doubles."""


class Deinterlaced(StrEnum):
    """How a frame was made from interlaced pictures."""

    BWDIF = "bwdif"
    """Missing rows interpolated by FFmpeg's filter of that name."""
    FILM = "film"
    """A film frame whose fields were spread over several pictures by 3:2 pulldown."""


class FieldOrder(StrEnum):
    """The field of a picture that was captured first, by FFmpeg's names."""

    TOP = "tff"
    BOTTOM = "bff"

    @property
    def opposite(self) -> FieldOrder:
        """The other order."""
        return FieldOrder.BOTTOM if self is FieldOrder.TOP else FieldOrder.TOP


@dataclass(frozen=True, slots=True)
class Deinterlacing:
    """How a source is deinterlaced."""

    mode: DeinterlaceMode = DeinterlaceMode.AUTO
    keep_pictures: bool = False
    """Deinterlace `Frame.planes` alone, for detection and repair; `Frame.picture` keeps both fields."""

    @property
    def is_active(self) -> bool:
        """Whether anything is to be deinterlaced at all."""
        return self.mode is not DeinterlaceMode.OFF

    @property
    def restores_film(self) -> bool:
        """Whether hard telecine is undone, which reduces the number of frames."""
        return self.mode is DeinterlaceMode.AUTO and not self.keep_pictures


@dataclass(slots=True)
class DeinterlaceCounts:
    """What was done to the pictures of a source."""

    pictures: int = 0
    """Pictures decoded."""
    deinterlaced: int = 0
    """Pictures deinterlaced by bwdif."""
    field_frames: int = 0
    """Frames made beyond one per picture: the second fields."""
    telecined: int = 0
    """Pictures of telecined film."""
    film_frames: int = 0
    """Film frames made from these."""
    busy_s: float = 0.0
    """Seconds spent on analysis and filters."""
