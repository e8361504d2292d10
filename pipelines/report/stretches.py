"""Stretches of a video: consecutive frames to which the same was done, for the same reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from deepclarity.models.verdict import Kind


class Treatment(StrEnum):
    """What was done to a frame."""

    COPIED = "copied"
    """Its packet was copied from the source, byte for byte."""
    PASSED = "passed"
    """Its pixels were left as they were, and encoded anew."""
    RESIZED = "resized"
    REPAIRED = "repaired"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive frames of one treatment, kind and reason."""

    treatment: Treatment
    kind: Kind
    reason: str
    """Why frames were encoded anew though copying was allowed; empty if they were copied, or copying was not wanted."""
    first_frame: int
    last_frame: int
    """The last frame itself, so a stretch of one frame begins and ends with the same."""
    start_s: float
    end_s: float
    """Start of the frame after the last one, in seconds."""
    block_px: float | None = None
    """Median block width in source pixels; None if no lattice was found."""

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self.last_frame - self.first_frame + 1


@dataclass(frozen=True, slots=True)
class FrameColumns:
    """What is known of all frames, in presentation order, one value each."""

    index: NDArray[np.int64]
    time_s: NDArray[np.float64]
    treatment: NDArray[np.uint8]
    """Position in `Treatment`."""
    kind: NDArray[np.uint8]
    """Position in `Kind`."""
    reason: NDArray[np.uint8]
    """Position in the list of reasons."""
    block_px: NDArray[np.float32]
    """NaN if no lattice was found."""


def find_stretches(columns: FrameColumns, *, reasons: list[str], end_s: float) -> list[Stretch]:
    """The stretches of a video, in order, without gaps. `end_s`: end of the last frame, in seconds."""
    count = len(columns.index)
    if not count:
        return []
    keys = np.stack([columns.treatment, columns.kind, columns.reason])
    changes = np.flatnonzero((keys[:, 1:] != keys[:, :-1]).any(axis=0)) + 1
    firsts = [0, *changes.tolist()]
    treatments, kinds = list(Treatment), list(Kind)
    stretches = []
    for first, end in zip(firsts, [*firsts[1:], count], strict=True):
        blocks = columns.block_px[first:end]
        known = blocks[~np.isnan(blocks)]
        stretches.append(
            Stretch(
                treatments[columns.treatment[first]],
                kinds[columns.kind[first]],
                reasons[columns.reason[first]],
                int(columns.index[first]),
                int(columns.index[end - 1]),
                round(float(columns.time_s[first]), 6),
                round(float(columns.time_s[end]) if end < count else end_s, 6),
                round(float(np.median(known)), 3) if known.size else None,
            )
        )
    return stretches
