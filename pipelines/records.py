"""What is remembered of a run: a line a frame, and the sums."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from deepclarity.models.verdict import Kind


class Lane(StrEnum):
    """The way a frame takes through the corridor."""

    PASS = "pass"
    """Untouched: the decoder's own planes go to the encoder."""
    RESIZE = "resize"
    """Clean but not of the output's size: Lanczos."""
    ENHANCE = "enhance"
    """Pixelated (or `--all`): blocks undone, network, fitted."""


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One frame's line in the report."""

    index: int
    """Position in presentation order, from 0."""
    time_s: float
    score: float
    """The detector's 0..1."""
    kind: Kind
    block_px: float | None
    """Block width in source pixels, when a lattice was found."""
    lane: Lane


@dataclass(slots=True)
class Summary:
    """The sums of a run."""

    source: str = ""
    output: str = ""
    frames_in: int = 0
    frames_out: int = 0
    repaired: int = 0
    """Frames that went through the network."""
    resized: int = 0
    passed: int = 0
    fallback: int = 0
    """Frames that should have been repaired but could only be resized."""
    damaged: int = 0
    """Packets that could not be decoded, and frames that the container promised but does not hold."""
    dropped: int = 0
    retimed: int = 0
    """Frames whose timestamp stood still or ran backwards and was moved."""
    lane_switches: int = 0
    elapsed_s: float = 0.0
    stage_s: dict[str, float] = field(default_factory=dict)
    """Busy seconds a stage: decode, detect, enhance, resize, encode, … (stages overlap)."""
    model: str = ""
    backend: str = ""
    method: str = ""
    size: str = ""
    """Output size, `1920x1080`."""

    def spent(self, stage: str, seconds: float) -> None:
        """Add to a stage's busy time."""
        self.stage_s[stage] = self.stage_s.get(stage, 0.0) + seconds

    @property
    def frames_per_s(self) -> float:
        """Frames out a second of wall clock."""
        return self.frames_out / self.elapsed_s if self.elapsed_s else 0.0
