"""The main job: a video file in, the same video repaired out."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from deepclarity import __version__
from deepclarity.errors import DamagedInputError, UsageError
from deepclarity.models.detectors import load_detector
from deepclarity.models.enhancer import Enhancer
from deepclarity.models.load import check_enhancer, load_enhancer
from deepclarity.models.verdict import Detector
from deepclarity.models.weights import read_manifest
from deepclarity.stream.errors import check_readable
from deepclarity.stream.files.encode import EncodeSettings, nvenc_works
from deepclarity.stream.files.output_path import check_writable, container_of, partial_path
from deepclarity.stream.files.passthrough import Passthrough
from deepclarity.stream.files.resume import PartialOutput, Ticket, find_partial_output, forget, is_ours
from deepclarity.stream.files.sink import FileSink, Sink
from deepclarity.stream.files.source import FileSource, Source
from deepclarity.stream.frame import Frame
from deepclarity.stream.handover import Handover
from deepclarity.stream.info import VideoInfo
from deepclarity.stream.planes import depth_of

from .detect import detect
from .enhance import enhance
from .fit import Fit, SizeWish, fit
from .preset import Preset
from .records import Summary
from .report.recorder import Notes
from .report.report import check_report
from .route import Which, route

log = logging.getLogger(__name__)

Progress = Callable[[Summary, VideoInfo], None]
"""Called after every frame that left."""


@dataclass(frozen=True, slots=True)
class Job:
    """One file to repair."""

    source: Path
    output: Path
    preset: Preset = field(default_factory=Preset)
    overwrite: bool = False
    report: Path | None = None
    """`.html` or `.json`."""
    resume: bool = False
    """Go on where an interrupted run of the same job stopped."""
    demuxer: str | None = None
    """FFmpeg's name of the demuxer that must read the source, for files from strangers; None: by content."""


def run_pipeline(
    source: Source,
    sink: Sink,
    *,
    detector: Detector | None,
    enhancer: Enhancer | None,
    preset: Preset,
    fit: Fit,
    notes: Notes,
    progress: Progress,
    skip: int = 0,
) -> Summary:
    """Source, detect, route, enhance, sink: every frame of the source leaves, in order."""
    summary = notes.summary
    small = (source.info.width_px, source.info.height_px) != fit.size
    scored = detect(_counted(source, summary), detector, summary)
    with Handover(scored, size=preset.source_buffer_frames, when_full=source.when_full) as arriving:
        routed = route(arriving, preset.routing, resize=small, enlarge=fit.enlarges, summary=summary)
        done = enhance(routed, enhancer, fit, summary, skip=skip)
        with Handover(notes.taken(done), size=preset.sink_buffer_frames) as leaving:
            for frame in leaving:
                sink.write(frame)
                summary.frames_out += 1
                progress(summary, source.info)
        summary.dropped = arriving.dropped
    return summary


def _counted(frames: Iterable[Frame], summary: Summary) -> Iterator[Frame]:
    for frame in frames:
        summary.frames_in += 1
        yield frame


def upscale(job: Job, *, progress: Progress = lambda summary, info: None) -> Summary:
    """Repair one file. `Summary.damaged` tells of damage in the input; `raise_if_damaged` makes an error of it.

    Everything that can be refused is refused before any work is done.
    """
    preset, began = job.preset, time.perf_counter()
    check_readable(job.source)
    check_writable(job.output, source=job.source, overwrite=job.overwrite)
    if job.report is not None:
        check_report(job.report)
    container_of(job.output, "av1" if preset.codec == "auto" else preset.codec)
    wish = SizeWish.parse(preset.size, pad=preset.pad)
    check_enhancer(preset.model)
    detector = load_detector(preset.method, pixel_art=preset.pixel_art) if preset.which is not Which.NONE else None
    with contextlib.ExitStack() as opened:
        source = opened.enter_context(FileSource(job.source, demuxer=job.demuxer))
        enhancer = None
        if preset.which is not Which.NONE:
            enhancer = opened.enter_context(contextlib.closing(load_enhancer(preset.model, device=preset.device)))
        settings = encode_settings(preset, source.planar, job.output, enhancer)
        source.suit(settings.encoder)
        fitted = fit(source.info, wish)
        others = opened.enter_context(Passthrough(job.source, but=source.stream_index, demuxer=job.demuxer))
        _warn(source.info, fitted)
        summary = _summary(job, detector, enhancer, fitted)
        notes = Notes(summary, source.planar, source.info.colour, want_pictures=_is_page(job.report))
        resume_token = _resume_token(job, settings, summary)
        partial_output = _partial_output(job, settings, resume_token)
        sink = opened.enter_context(
            FileSink(
                job.output,
                info=replace(source.info, sample_aspect=fitted.sample_aspect),
                size=fitted.canvas,
                planar=source.planar,
                settings=settings,
                passthrough=others,
                partial_output=partial_output,
                resume_token=resume_token,
            )
        )
        for warning in sink.warnings:
            log.warning("%s", warning)
        run_pipeline(
            source, sink, detector=detector, enhancer=enhancer, preset=preset, fit=fitted, notes=notes,
            progress=progress, skip=partial_output.frames if partial_output else 0,
        )  # fmt: skip
    summary.damaged = source.damaged + others.damaged
    summary.retimed = source.retimed + others.retimed
    summary.stage_s = {"decode": source.busy_s, **summary.stage_s, "encode": sink.busy_s}
    summary.elapsed_s = time.perf_counter() - began
    if job.report is not None:
        notes.report.write(job.report, summary)
    return summary


def encode_settings(preset: Preset, planar: str, output: Path, enhancer: Enhancer | None) -> EncodeSettings:
    """What the preset leaves open, decided by the video's planar format, the container and the machine."""
    codec = preset.codec
    if codec == "auto":
        deep = depth_of(planar) > 8  # hardly a player takes ten bits in H.264
        codec = "av1" if output.suffix.lower() == ".webm" else "hevc" if deep else "h264"
    if preset.encoder not in ("auto", "software", "nvenc"):
        raise UsageError(f"encoder {preset.encoder}: use auto, software or nvenc.")
    settings = EncodeSettings(codec, preset.crf, preset.speed, restart_every=preset.restart_every_frames)
    on_gpu = enhancer is not None and "cuda" in enhancer.backend
    if preset.encoder == "nvenc" or (preset.encoder == "auto" and on_gpu):
        # NVENC keeps more than 8 bits 4:2:0 in semi-planar formats only, which the corridor does not use.
        if planar in ("yuv420p", "yuvj420p") and nvenc_works(codec):
            return replace(settings, hardware=True)
        if preset.encoder == "nvenc":
            raise UsageError(f"encoder nvenc: cannot encode {planar} as {codec} here. Use --encoder software.")
    return settings


def raise_if_damaged(summary: Summary) -> None:
    """DamagedInputError when frames of the input are missing from an output that is otherwise whole."""
    if summary.damaged:
        raise DamagedInputError(
            f"{summary.source}: {summary.damaged} damaged or missing packets; "
            f"all {summary.frames_out} frames that could be decoded are in {summary.output}."
        )


def _summary(job: Job, detector: Detector | None, enhancer: Enhancer | None, fitted: Fit) -> Summary:
    return Summary(
        source=str(job.source),
        output=str(job.output),
        model=enhancer.name if enhancer else "none",
        backend=enhancer.backend if enhancer else "none",
        method=detector.name if detector else "none",
        size=f"{fitted.canvas[0]}x{fitted.canvas[1]}",
    )


def _resume_token(job: Job, settings: EncodeSettings, summary: Summary) -> Ticket:
    """All that decides which packets this job writes."""
    stat = job.source.stat()
    records = read_manifest()
    weights, eye = records.get(summary.model), records.get(summary.method)
    return {
        "input": f"{job.source.resolve()} {stat.st_size} {stat.st_mtime_ns}",
        "preset": repr(job.preset),
        "encoding": repr(settings),
        "model": f"{summary.model} {summary.backend} {weights.sha256 if weights else '-'}",
        "method": f"{summary.method} {eye.sha256 if eye else '-'}",
        "size": summary.size,
        "version": __version__,
    }


def _partial_output(job: Job, settings: EncodeSettings, resume_token: Ticket) -> PartialOutput | None:
    """The part of this job that an earlier run has done, if it is to be used."""
    partial = partial_path(job.output)
    if not job.resume:
        if is_ours(partial):
            log.warning("%s: an unfinished run is begun again; --resume would have gone on from it", partial)
        forget(partial)
        return None
    found = find_partial_output(partial, resume_token, restart_every=settings.restart_every)
    if found is None:
        log.warning("%s: nothing there to resume; beginning at the first frame", partial)
    else:
        log.info("resuming after %d frames", found.frames)
    return found


def _is_page(report: Path | None) -> bool:
    return report is not None and report.suffix.lower() in (".html", ".htm")


def _warn(info: VideoInfo, fitted: Fit) -> None:
    if info.interlaced and fitted.size != (info.width_px, info.height_px):
        log.warning("the video is interlaced: resizing mixes its two fields. Deinterlace it first for best results.")
    elif info.interlaced and info.height_px % 4:
        log.warning("the video is interlaced, but fields of this height cannot be encoded: kept as whole frames.")
    elif info.interlaced:
        log.warning("the video is interlaced: its field order is kept, frames are not deinterlaced.")
