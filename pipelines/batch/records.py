"""Settings, results and totals of a batch."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from deepclarity.models.load import weights_sha256
from deepclarity.models.weights import read_manifest
from deepclarity.pipelines.preset import Preset
from deepclarity.version import __version__

PICTURE_MODEL = "srgan"
"""The tier for pictures if none was chosen: a picture can wait for a better repair than a video."""


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """What every file of a batch is repaired with."""

    preset: Preset = field(default_factory=Preset)
    picture_model: str = PICTURE_MODEL
    """Tier or model file for pictures."""
    scale: float = 1.0
    """Output size over input size of pictures."""
    force: bool = False
    """Repair pictures whatever the verdict."""
    cores: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Cores of the machine; encoders divide their work by them, so that the output is the same for every `jobs`."""

    @property
    def digest(self) -> str:
        """Equal for two batches only if they write the same bytes for the same file."""
        weights = [record.sha256 for record in read_manifest().values()]
        models = [weights_sha256(name) for name in (self.preset.model, self.picture_model)]
        settings = replace(self, cores=0)
        return hashlib.sha256(repr((settings, weights, models, __version__)).encode()).hexdigest()


class Outcome(StrEnum):
    """What became of a file."""

    REPAIRED = "repaired"
    """Written, with at least one repaired frame or a repaired picture."""
    CLEAN = "clean"
    """Nothing to repair: a video resized or encoded, a picture copied byte for byte."""
    SKIPPED = "skipped"
    """An earlier run had finished it, with the same options."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of one file."""

    source: Path
    output: Path
    outcome: Outcome
    reason: str = ""
    """Why it failed, in one line."""
    warnings: tuple[str, ...] = ()
    frames: int = 0
    repaired: int = 0
    """Repaired frames of a video."""
    damaged: int = 0
    """Packets of a video that could not be decoded."""
    elapsed_s: float = 0.0


@dataclass(slots=True)
class BatchSummary:
    """Totals of a batch."""

    files: int = 0
    results: list[FileResult] = field(default_factory=list)
    elapsed_s: float = 0.0

    def count(self, outcome: Outcome) -> int:
        """Number of files with this outcome."""
        return sum(result.outcome is outcome for result in self.results)

    @property
    def failed(self) -> list[FileResult]:
        """The files without an output."""
        return [result for result in self.results if result.outcome is Outcome.FAILED]

    @property
    def damaged(self) -> list[FileResult]:
        """The files whose source was damaged, so that frames may be missing from their output."""
        return [result for result in self.results if result.damaged]

    @property
    def frames(self) -> int:
        """Video frames written."""
        return sum(result.frames for result in self.results)

    @property
    def exit_code(self) -> int:
        """0, or 3 if a file failed or was damaged."""
        return 3 if self.failed or self.damaged else 0

    def as_json(self) -> dict[str, Any]:
        """The summary for programs."""
        counts = {str(outcome): self.count(outcome) for outcome in Outcome}
        results = [
            {**asdict(result), "source": str(result.source), "output": str(result.output)} for result in self.results
        ]
        totals = {"frames": self.frames, "damaged": len(self.damaged), "elapsed_s": round(self.elapsed_s, 3)}
        return {"files": self.files, **counts, **totals, "results": results}


@dataclass(frozen=True, slots=True)
class FileProgress:
    """How far a worker is with a file."""

    source: Path
    frames: int
    expected: int | None


class Observer:
    """Receives the events of a batch; these methods do nothing."""

    def found(self, files: int) -> None:
        """The batch has this many files so far."""

    def progressed(self, progress: FileProgress) -> None:
        """Frames of a video were written."""

    def finished(self, result: FileResult) -> None:
        """A file is done, skipped, or failed."""


Report = Callable[[FileProgress], None]
