"""Decides whether a run may copy packets of its source, and records what it copied."""

from __future__ import annotations

from dataclasses import replace

from deepclarity.pipelines.fit import Fit
from deepclarity.pipelines.preset import Preset
from deepclarity.pipelines.records import Summary
from deepclarity.pipelines.report.recorder import Recorder
from deepclarity.stream.files.encode import EncodeSettings
from deepclarity.stream.files.source import FileSource
from deepclarity.stream.segments.errors import CopyError
from deepclarity.stream.segments.plan import CopyRequest, open_splicer
from deepclarity.stream.segments.splice import Splicer


def plan_copying(
    preset: Preset, source: FileSource, fitted: Fit, settings: EncodeSettings, *, demuxer: str | None
) -> Splicer | str | None:
    """The writer of a track that copies packets where it can, or the reason why it cannot; None: not wanted."""
    if preset.copy == "never":
        return None
    if preset.encoder == "auto":  # only x264 can encode beside copied packets
        settings = replace(settings, hardware=False)
    request = CopyRequest(
        path=source.path,
        stream_index=source.stream_index,
        info=source.info,
        size=fitted.canvas,
        pixel_format=source.pixel_format,
        settings=settings,
        demuxer=demuxer,
    )
    try:
        return open_splicer(request)
    except CopyError as error:
        return str(error)


def record_copying(splicer: Splicer | str | None, summary: Summary, recorder: Recorder) -> None:
    """Add to the summary and the report what was copied, and why the other frames were not."""
    if isinstance(splicer, Splicer):
        summary.copied, summary.encoded_because = splicer.counts.copied, dict(splicer.counts.reasons)
        recorder.report.mark_copied(splicer.counts.ranges)
    elif splicer is not None:
        summary.encoded_because = {splicer: summary.frames_out}
