"""Per-frame records and the summary of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from deepclarity.models.verdict import Kind
from deepclarity.stream.interlaced.modes import DeinterlaceCounts


class Lane(StrEnum):
    """How a frame is processed."""

    PASS = "pass"
    """Unchanged: the decoder's own planes go to the encoder."""
    RESIZE = "resize"
    """Clean, but not of the output size: resized by Lanczos interpolation."""
    ENHANCE = "enhance"
    """Pixelated (or `--all`): blocks averaged, enlarged by the network, fitted to the output."""


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """The record of one frame in the report."""

    index: int
    """Position in presentation order, from 0."""
    time_s: float
    """Presentation time."""
    score: float
    """The detector's score, 0..1."""
    kind: Kind
    block_px: float | None
    """Block width in source pixels; None if no lattice was found."""
    lane: Lane
    severity: float | None = None
    """How coarsely the frame was coded, 0..1; None if the decoder does not say."""
    steady_kind: Kind | None = None
    """The kind by which the lane was chosen: `kind` may change from frame to frame. None: `kind`."""


@dataclass(slots=True)
class Summary:
    """Totals of a run."""

    source: str = ""
    output: str = ""
    frames_in: int = 0
    frames_out: int = 0
    repaired: int = 0
    """Frames that went through the network."""
    resized: int = 0
    passed: int = 0
    copied: int = 0
    """Frames whose packets were copied from the source, byte for byte."""
    encoded_because: dict[str, int] = field(default_factory=dict)
    """Frames that were encoded anew though copying was allowed, by the reason."""
    fallback: int = 0
    """Frames that should have been repaired but could only be resized."""
    damaged: int = 0
    """Packets that could not be decoded, and frames that the container promised but does not hold."""
    dropped: int = 0
    """Frames dropped because a live buffer was full."""
    retimed: int = 0
    """Frames whose timestamp did not increase and was corrected."""
    deinterlaced: int = 0
    """Frames that were deinterlaced."""
    field_frames: int = 0
    """Frames that field rate added: `frames_out` is larger than `frames_in` by that number."""
    telecined: int = 0
    """Frames of telecined film, which became `film_frames`."""
    film_frames: int = 0
    lane_switches: int = 0
    elapsed_s: float = 0.0
    stage_s: dict[str, float] = field(default_factory=dict)
    """Busy seconds per stage: decode, detect, enhance, resize, encode, … (stages overlap)."""
    model: str = ""
    backend: str = ""
    method: str = ""
    size: str = ""
    """Output size, such as `1920x1080`."""
    frames_by_kind: dict[str, int] = field(default_factory=dict)
    """Number of frames of each kind: `clean`, `pixelated`, `blocky`, `damaged`, …"""

    other_videos: list[str] = field(default_factory=list)
    """Video tracks beside the repaired one, which are copied or left out: one description each."""
    lost: list[str] = field(default_factory=list)
    """What the source has and the output lacks, apart from frames: one description each."""

    def count_kind(self, kind: Kind) -> None:
        """Count one frame of this kind."""
        self.frames_by_kind[kind.value] = self.frames_by_kind.get(kind.value, 0) + 1

    def add_stage_time(self, stage: str, seconds: float) -> None:
        """Add to a stage's busy time."""
        self.stage_s[stage] = self.stage_s.get(stage, 0.0) + seconds

    def add_deinterlacing(self, counts: DeinterlaceCounts, *, kept: bool) -> None:
        """Add what deinterlacing did. `kept`: frames stay interlaced unless repaired, and those are counted already."""
        self.frames_in = counts.pictures
        self.field_frames, self.telecined, self.film_frames = counts.field_frames, counts.telecined, counts.film_frames
        self.add_stage_time("deinterlace", counts.busy_s)
        if not kept:
            self.deinterlaced = counts.deinterlaced

    @property
    def frames_per_s(self) -> float:
        """Output frames per second of wall-clock time."""
        return self.frames_out / self.elapsed_s if self.elapsed_s else 0.0
