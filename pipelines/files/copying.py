"""Decides whether a run may copy packets of its source, and records what it copied."""

from __future__ import annotations

from dataclasses import replace

from deepclarity.pipelines.fit import Fit
from deepclarity.pipelines.jobs.job import Job
from deepclarity.pipelines.records import Summary
from deepclarity.pipelines.report.recorder import Recorder
from deepclarity.stream.files.encode import EncodeSettings
from deepclarity.stream.files.output_path import partial_path
from deepclarity.stream.files.resume import has_resume_token
from deepclarity.stream.files.source import FileSource
from deepclarity.stream.interlaced.modes import DeinterlaceMode, Deinterlacing
from deepclarity.stream.media import MediaSource, Medium, output_medium
from deepclarity.stream.segments.errors import CopyError
from deepclarity.stream.segments.plan import CopyRequest, open_splicer
from deepclarity.stream.segments.splice import Splicer


def plan_copying(
    job: Job, source: MediaSource, fitted: Fit, settings: EncodeSettings | None, *, deinterlacing: Deinterlacing
) -> Splicer | str | None:
    """The writer of a track that copies packets where it can, or the reason why it cannot; None: not wanted."""
    preset = job.preset
    files = isinstance(source, FileSource) and output_medium(job.output) is Medium.FILE
    resumed = job.resume and has_resume_token(partial_path(job.output))
    if preset.copy == "never" or settings is None or not files or resumed:
        return None
    assert isinstance(source, FileSource)
    if source.info.interlaced or deinterlacing.mode in (DeinterlaceMode.FRAME, DeinterlaceMode.FIELD):
        return "the video is interlaced"
    if preset.encoder == "auto":  # only x264 can encode beside copied packets
        settings = replace(settings, hardware=False)
    request = CopyRequest(
        path=source.path,
        stream_index=source.stream_index,
        info=source.info,
        size=fitted.canvas,
        pixel_format=source.pixel_format,
        settings=settings,
        demuxer=job.demuxer,
    )
    try:
        return open_splicer(request)
    except CopyError as error:
        return str(error)


def record_copying(splicer: Splicer | str | None, summary: Summary, recorder: Recorder) -> None:
    """Add to the summary and the report what was copied, and why the other frames were not."""
    if isinstance(splicer, Splicer):
        summary.copied, summary.encoded_because = splicer.counts.copied, splicer.counts.reasons
        recorder.report.mark_copied(splicer.counts.ranges)
        recorder.report.mark_encoded(splicer.counts.encoded_ranges)
    elif splicer is not None:
        summary.encoded_because = {splicer: summary.frames_out}
        recorder.report.mark_encoded([(0, summary.frames_out - 1, splicer)])
