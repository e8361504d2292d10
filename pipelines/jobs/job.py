"""One file to repair, how, and where to."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from deepclarity.errors import UsageError
from deepclarity.pipelines.preset import Preset
from deepclarity.pipelines.report.report import check_report
from deepclarity.stream.media import Medium, check_output, check_source, output_medium, sends_raw, source_medium


@dataclass(frozen=True, slots=True)
class Job:
    """One file to repair."""

    source: Path
    output: Path
    preset: Preset = field(default_factory=Preset)
    overwrite: bool = False
    report: Path | None = None
    """Where to write a report, `.html` or `.json`."""
    resume: bool = False
    """Continue where an interrupted run of the same job stopped."""
    demuxer: str | None = None
    """FFmpeg's name of the demuxer that must read the source, for untrusted files; None: detected by content."""
    pipe_format: str = "nut"
    """Format on standard output, which is the output `-`: `nut`, `mkv`, `y4m` or `ts`."""
    rate: Fraction | None = None
    """Pictures per second of a source of numbered pictures, such as `frames/%05d.png`; None: 25."""
    encoder_cores: int = 0
    """See `EncodeSettings.cores`."""

    @property
    def size_step_px(self) -> int:
        """What the sides of the output are a multiple of: half resolution chroma needs even ones, pictures do not."""
        return 1 if output_medium(self.output).is_pictures else 2

    @property
    def is_raw(self) -> bool:
        """Whether pictures leave as they are, not encoded as video."""
        codec, crf = self.preset.codec, self.preset.crf
        return sends_raw(self.output, codec, crf=crf, pipe_format=self.pipe_format)

    @property
    def can_resume(self) -> bool:
        """Whether a later run can continue this one: what went through a pipe is gone."""
        return source_medium(self.source) is Medium.FILE and output_medium(self.output) is Medium.FILE

    def check(self) -> None:
        """Raise an error if the source cannot be read, or the output or the report must not be written."""
        check_source(self.source, rate=self.rate)
        codec = "raw" if self.is_raw else self.preset.codec
        check_output(
            self.output, source=self.source, overwrite=self.overwrite, codec=codec, pipe_format=self.pipe_format
        )
        if self.report is not None:
            check_report(self.report)
        if self.resume and not self.can_resume:
            raise UsageError("--resume: only files can be continued. Name files, or omit --resume.")
