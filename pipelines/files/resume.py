"""Resume of a run: what identifies it, and the output of an interrupted one."""

from __future__ import annotations

import logging
from pathlib import Path

from deepclarity.models.artifacts.reducer import reducer_name
from deepclarity.models.load import weights_sha256
from deepclarity.models.weights import read_manifest
from deepclarity.pipelines.jobs.job import Job
from deepclarity.pipelines.records import Summary
from deepclarity.stream.files.encode import EncodeSettings
from deepclarity.stream.files.output_path import partial_path
from deepclarity.stream.files.resume import (
    PartialOutput,
    ResumeToken,
    find_partial_output,
    has_resume_token,
    remove_resume_files,
)
from deepclarity.version import __version__

log = logging.getLogger(__name__)


def resume_token(job: Job, settings: EncodeSettings | None, summary: Summary) -> ResumeToken | None:
    """Everything that determines which packets this job writes; None if it cannot be resumed."""
    if not job.can_resume:
        return None
    source, preset = job.source, job.preset
    stat = source.stat()
    reducer = reducer_name(summary.model)
    detector = read_manifest().get(summary.method)
    weights = weights_sha256(preset.model if summary.model not in read_manifest() else summary.model)
    return {
        "input": f"{source.resolve()} {stat.st_size} {stat.st_mtime_ns}",
        "preset": repr(preset),
        "encoding": repr(settings),
        "model": f"{summary.model} {summary.backend} {weights} {weights_sha256(reducer) if reducer else '-'}",
        "method": f"{summary.method} {detector.sha256 if detector else '-'}",
        "size": summary.size,
        "version": __version__,
    }


def find_output(
    output: Path, token: ResumeToken | None, settings: EncodeSettings | None, *, wanted: bool
) -> PartialOutput | None:
    """The output of an interrupted run of this job, if it is `wanted` to resume it."""
    if settings is None or token is None:
        return None
    partial = partial_path(output)
    if not wanted:
        if has_resume_token(partial):
            log.warning("%s: discarding the output of an interrupted run; use --resume to continue one", partial)
        remove_resume_files(partial)
        return None
    found = find_partial_output(partial, token, restart_every=settings.restart_every)
    if found is None:
        log.warning("%s: nothing to resume; starting at the first frame", partial)
    else:
        log.info("resuming after %d frames", found.frames)
    return found
