"""The upscale pipeline: repairs the pixelated frames of a video file."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from deepclarity.errors import DamagedInputError, UsageError
from deepclarity.models.detectors import load_detector
from deepclarity.models.load import check_enhancer, weights_sha256
from deepclarity.models.verdict import Detector
from deepclarity.models.weights import read_manifest
from deepclarity.stream.errors import check_readable
from deepclarity.stream.files.encode import EncodeSettings, nvenc_works
from deepclarity.stream.files.output_path import CONTAINERS, check_writable, container_of, partial_path
from deepclarity.stream.files.passthrough import Passthrough
from deepclarity.stream.files.resume import (
    PartialOutput,
    ResumeToken,
    find_partial_output,
    has_resume_token,
    remove_resume_files,
)
from deepclarity.stream.files.sink import FileSink, Sink
from deepclarity.stream.files.source import FileSource, Source
from deepclarity.stream.frame import Frame
from deepclarity.stream.handover import Handover
from deepclarity.stream.info import VideoInfo
from deepclarity.stream.interlaced.modes import DeinterlaceMode, Deinterlacing
from deepclarity.stream.planes import depth_of
from deepclarity.version import __version__

from .detect import detect
from .enhance import enhance
from .executor import Executor
from .fit import Fit, SizeRequest, fit
from .load_executor import encoding_of, load_executor
from .preset import Preset
from .records import Summary
from .report.recorder import Recorder
from .report.report import check_report
from .route import FrameSelection, route

log = logging.getLogger(__name__)

Progress = Callable[[Summary, VideoInfo], None]
"""Called after every frame that was written, with the summary so far and the source's properties."""


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


def run_pipeline(
    source: Source,
    sink: Sink,
    *,
    detector: Detector | None,
    executor: Executor | None,
    preset: Preset,
    fit: Fit,
    recorder: Recorder,
    progress: Progress,
    skip: int = 0,
) -> Summary:
    """Run source, detect, route, enhance and sink: every frame of the source is written, in order.

    `skip`: number of frames that an earlier run has already written.
    """
    summary = recorder.summary
    decoded = _count(source, summary)
    # how pixelated is each frame?
    scored = detect(decoded, detector, summary)
    with Handover(scored, size=preset.source_buffer_frames, when_full=source.when_full) as arriving:
        # which lane does it take?
        routed = route(arriving, preset.routing, resize=fit.resizes, enlarge=fit.enlarges, summary=summary)
        # network, or plain resize; order kept
        enhanced = enhance(routed, executor, fit, summary, skip=skip)
        recorded = recorder.record(enhanced)
        with Handover(recorded, size=preset.sink_buffer_frames) as leaving:
            for frame in leaving:
                sink.write(frame)
                summary.frames_out += 1
                progress(summary, source.info)
        summary.dropped = arriving.dropped
    return summary


def _count(frames: Iterable[Frame], summary: Summary) -> Iterator[Frame]:
    for frame in frames:
        summary.frames_in += 1
        yield frame


def upscale(job: Job, *, progress: Progress = lambda summary, info: None) -> Summary:
    """Repair one file; options are validated before any work is done.

    Damage in the input is counted in `Summary.damaged`, which `raise_if_damaged` turns into an error. Raises
    UsageError, SourceError, OutputError or DeviceError if the file cannot be repaired.
    """
    preset, started = job.preset, time.perf_counter()
    check_readable(job.source)
    check_writable(job.output, source=job.source, overwrite=job.overwrite)
    if job.report is not None:
        check_report(job.report)
    container_of(job.output, "av1" if preset.codec == "auto" else preset.codec)
    size_request = SizeRequest.parse(preset.size, pad=preset.pad)
    check_enhancer(preset.model)
    repairs = preset.which is not FrameSelection.NONE
    detector = load_detector(preset.method, pixel_art=preset.pixel_art) if repairs else None
    with contextlib.ExitStack() as opened:
        source = opened.enter_context(FileSource(job.source, demuxer=job.demuxer))
        executor = None
        if repairs:
            executor = opened.enter_context(contextlib.closing(_executor(preset, source.info)))
        settings = encode_settings(preset, source.pixel_format, job.output, executor)
        source.choose_pixel_format(settings.encoder)
        fitted = fit(source.info, size_request)
        passthrough = opened.enter_context(Passthrough(job.source, exclude=source.stream_index, demuxer=job.demuxer))
        setting = _deinterlacing(preset, fitted)
        source.deinterlace(setting)
        _warn_if_interlaced(source.info, fitted)
        summary = _summary(job, detector, executor, fitted)
        recorder = Recorder(summary, source.pixel_format, source.info.colour, keep_pictures=_is_html(job.report))
        resume_token = _resume_token(job, settings, summary)
        partial_output = _partial_output(job, settings, resume_token)
        sink = opened.enter_context(
            FileSink(
                job.output,
                info=replace(source.info, sample_aspect=fitted.sample_aspect),
                size=fitted.canvas,
                pixel_format=source.pixel_format,
                settings=settings,
                passthrough=passthrough,
                partial_output=partial_output,
                resume_token=resume_token,
            )
        )
        for warning in sink.warnings:
            log.warning("%s", warning)
        run_pipeline(
            source, sink, detector=detector, executor=executor, preset=preset, fit=fitted, recorder=recorder,
            progress=progress, skip=partial_output.frames if partial_output else 0,
        )  # fmt: skip
    summary.damaged = source.damaged + passthrough.damaged
    summary.retimed = source.retimed + passthrough.retimed
    summary.stage_s = {"decode": source.busy_s, **summary.stage_s, "encode": sink.busy_s}
    if source.deinterlacer is not None:
        summary.add_deinterlacing(source.deinterlacer.counts, kept=setting.keep_pictures)
    summary.elapsed_s = time.perf_counter() - started
    if job.report is not None:
        recorder.report.write(job.report, summary)
    return summary


def _executor(preset: Preset, info: VideoInfo) -> Executor:
    colour = encoding_of(info.colour, height_px=info.height_px)
    return load_executor(preset.model, device=preset.device, colour=lambda: colour)


def encode_settings(preset: Preset, pixel_format: str, output: Path, executor: Executor | None) -> EncodeSettings:
    """Encoder settings of a preset; `auto` is resolved by pixel format, container and available hardware."""
    codec = preset.codec
    if codec == "auto":
        deep = depth_of(pixel_format) > 8  # hardly any player supports 10-bit H.264
        codec = "av1" if output.suffix.lower() == ".webm" else "hevc" if deep else "h264"
    if preset.encoder not in ("auto", "software", "nvenc"):
        raise UsageError(f"encoder {preset.encoder}: use auto, software or nvenc.")
    settings = EncodeSettings(codec, preset.crf, preset.speed, restart_every=preset.restart_every_frames)
    on_gpu = executor is not None and "cuda" in executor.backend
    if preset.encoder == "nvenc" or (preset.encoder == "auto" and on_gpu):
        # NVENC keeps more than 8 bits 4:2:0 in semi-planar formats only, which the pipeline does not use.
        if pixel_format in ("yuv420p", "yuvj420p") and nvenc_works(codec):
            return replace(settings, hardware=True)
        if preset.encoder == "nvenc":
            raise UsageError(f"encoder nvenc: cannot encode {pixel_format} as {codec} here. Use --encoder software.")
    return settings


def default_output(source: Path) -> Path:
    """`film.mp4` -> `film.clear.mp4`; a container that cannot be written becomes Matroska, which holds every track."""
    known = source.suffix.lower() in CONTAINERS
    return source.with_name(f"{source.stem}.clear{source.suffix if known else '.mkv'}")


def raise_if_damaged(summary: Summary) -> None:
    """Raise DamagedInputError if the input was damaged, so that frames may be missing from the finished output."""
    if summary.damaged:
        raise DamagedInputError(
            f"{summary.source}: {summary.damaged} damaged or missing packets; "
            f"all {summary.frames_out} frames that could be decoded are in {summary.output}."
        )


def _summary(job: Job, detector: Detector | None, executor: Executor | None, fitted: Fit) -> Summary:
    return Summary(
        source=str(job.source),
        output=str(job.output),
        model=executor.name if executor else "none",
        backend=executor.backend if executor else "none",
        method=detector.name if detector else "none",
        size=f"{fitted.canvas[0]}x{fitted.canvas[1]}",
    )


def _resume_token(job: Job, settings: EncodeSettings, summary: Summary) -> ResumeToken:
    """Everything that determines which packets this job writes."""
    stat = job.source.stat()
    detector = read_manifest().get(summary.method)
    weights = weights_sha256(job.preset.model if summary.model not in read_manifest() else summary.model)
    return {
        "input": f"{job.source.resolve()} {stat.st_size} {stat.st_mtime_ns}",
        "preset": repr(job.preset),
        "encoding": repr(settings),
        "model": f"{summary.model} {summary.backend} {weights}",
        "method": f"{summary.method} {detector.sha256 if detector else '-'}",
        "size": summary.size,
        "version": __version__,
    }


def _partial_output(job: Job, settings: EncodeSettings, resume_token: ResumeToken) -> PartialOutput | None:
    """The output of an interrupted run of this job, if it is to be resumed."""
    partial = partial_path(job.output)
    if not job.resume:
        if has_resume_token(partial):
            log.warning("%s: discarding the output of an interrupted run; use --resume to continue one", partial)
        remove_resume_files(partial)
        return None
    found = find_partial_output(partial, resume_token, restart_every=settings.restart_every)
    if found is None:
        log.warning("%s: nothing to resume; starting at the first frame", partial)
    else:
        log.info("resuming after %d frames", found.frames)
    return found


def _is_html(report: Path | None) -> bool:
    return report is not None and report.suffix.lower() in (".html", ".htm")


def _deinterlacing(preset: Preset, fitted: Fit) -> Deinterlacing:
    """How to deinterlace: with `auto`, an interlaced video that keeps its size changes only where it is repaired."""
    repairs = preset.which is not FrameSelection.NONE
    if preset.deinterlace is not DeinterlaceMode.AUTO or fitted.canvas != fitted.source:
        return Deinterlacing(preset.deinterlace)
    return Deinterlacing(DeinterlaceMode.AUTO, keep_pictures=True) if repairs else Deinterlacing(DeinterlaceMode.OFF)


def _warn_if_interlaced(info: VideoInfo, fitted: Fit) -> None:
    """Warn of a video that stays interlaced."""
    if info.interlaced and fitted.canvas != fitted.source:
        log.warning("the video is interlaced: resizing mixes its two fields. Leave out --deinterlace off.")
    elif info.interlaced and info.height_px % 4:
        log.warning("the video is interlaced, but fields of this height cannot be encoded: kept as complete frames.")
    elif info.interlaced:
        log.warning("the video is interlaced: its field order is kept; --deinterlace frame makes it progressive.")
