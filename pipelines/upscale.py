"""The upscale pipeline: repairs the pixelated frames of a video file."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from deepclarity.errors import DamagedInputError, UsageError
from deepclarity.models.artifacts.reducer import ArtifactReducer
from deepclarity.models.load import check_enhancer
from deepclarity.models.verdict import Detector
from deepclarity.stream.files.encode import EncodeSettings, nvenc_works
from deepclarity.stream.files.output_path import CONTAINERS
from deepclarity.stream.files.passthrough import Passthrough
from deepclarity.stream.files.sink import Sink
from deepclarity.stream.files.source import Source
from deepclarity.stream.frame import Frame
from deepclarity.stream.handover import Handover
from deepclarity.stream.info import VideoInfo
from deepclarity.stream.interlaced.modes import DeinterlaceMode, Deinterlacing
from deepclarity.stream.media import (
    PIPE,
    MediaSource,
    SinkOptions,
    interrupted_by_failure,
    open_passthrough,
    open_sink,
    open_source,
)
from deepclarity.stream.pictures.sniff import is_animation
from deepclarity.stream.planes import depth_of
from deepclarity.stream.segments.errors import CopyError
from deepclarity.stream.segments.splice import Splicer

from .detect import detect
from .enhance import enhance
from .executor import Executor
from .files.copying import plan_copying, record_copying
from .files.resume import find_output, resume_token
from .fit import Fit, SizeRequest, fit
from .jobs.job import Job
from .load_executor import Networks, encoding_of
from .preset import Preset, check_copy
from .records import Summary
from .report.recorder import Recorder
from .report.report import Report
from .route import FrameSelection, route

_TRANSPARENT = {".mov": "prores", ".webm": "vp9", ".mkv": "vp9"}
"""Codecs that keep opacity, by file extension."""

log = logging.getLogger(__name__)

Progress = Callable[[Summary, VideoInfo], None]
"""Called after every frame that was written, with the summary so far and the source's properties."""


def run_pipeline(
    source: Source,
    sink: Sink,
    *,
    detector: Detector | None,
    executor: Executor | None,
    reducer: ArtifactReducer | None = None,
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
        enhanced = enhance(routed, executor, fit, summary, skip=skip, reducer=reducer)
        recorded = recorder.record(enhanced)
        with Handover(recorded, size=preset.sink_buffer_frames) as leaving, interrupted_by_failure(source):
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


def upscale(
    job: Job,
    *,
    progress: Progress = lambda summary, info: None,
    networks: Networks | None = None,
    reported: Callable[[Report], None] = lambda report: None,
) -> Summary:
    """Repair one file; options are validated before any work is done.

    `networks`: where to find networks that outlive the run; None: they are loaded for this run alone. `reported`:
    called at the end with the records of all frames. Damage in the input is counted in `Summary.damaged`, which
    `raise_if_damaged` turns into an error. Raises UsageError, SourceError, OutputError or DeviceError if the file
    cannot be repaired.
    """
    preset, started = job.preset, time.perf_counter()
    job.check()
    size_request = SizeRequest.parse(preset.size, pad=preset.pad)
    check_copy(preset.copy)
    check_enhancer(preset.model)
    with contextlib.ExitStack() as opened:
        if networks is None:
            networks = opened.enter_context(contextlib.closing(Networks()))
        try:
            summary, recorder = _run(job, networks, size_request, progress)
        except CopyError as error:
            log.info("%s: starting again, without copying: %s", job.source, error)
            encoded = replace(job, preset=replace(preset, copy="never"))
            summary, recorder = _run(encoded, networks, size_request, progress)
            summary.encoded_because = {str(error): summary.frames_out}
            recorder.report.mark_encoded([(0, summary.frames_out - 1, str(error))])
    summary.elapsed_s = time.perf_counter() - started
    if job.report is not None:
        recorder.report.write(job.report, summary)
    reported(recorder.report)
    return summary


def _run(job: Job, networks: Networks, size_request: SizeRequest, progress: Progress) -> tuple[Summary, Recorder]:
    """Repair one file. CopyError if copying turns out to be impossible when frames have been written already."""
    preset = job.preset
    repairs = preset.which is not FrameSelection.NONE
    with contextlib.ExitStack() as opened:
        detector = networks.detector(preset.method, pixel_art=preset.pixel_art) if repairs else None
        source = opened.enter_context(
            open_source(job.source, output=job.output, demuxer=job.demuxer, rate=job.rate, track=preset.track)
        )
        executor = _executor(networks, preset, source.info) if repairs else None
        reducer = _reducer(networks, executor, preset)
        settings = _settings(job, source.pixel_format, executor, transparent=source.info.transparent)
        source.choose_pixel_format(settings.encoder if settings else None)
        fitted = fit(source.info, size_request, step_px=job.size_step_px)
        deinterlacing = deinterlacing_of(preset, fitted, transparent=source.info.transparent)
        splicer = plan_copying(job, source, fitted, settings, deinterlacing=deinterlacing)
        source.deinterlace(deinterlacing)
        passthrough = open_passthrough(source, demuxer=job.demuxer)
        opened.enter_context(passthrough or contextlib.nullcontext())
        _warn_if_interlaced(source.info, fitted)
        summary = _summary(job, detector, executor, fitted)
        summary.other_videos = source.other_videos
        recorder = Recorder(summary, source.pixel_format, source.info.colour, keep_pictures=_is_html(job.report))
        copies = isinstance(splicer, Splicer)
        token = resume_token(job, settings, summary)
        partial_output = find_output(job.output, token, settings, wanted=job.resume and not copies)
        options = SinkOptions(
            info=replace(source.info, sample_aspect=fitted.sample_aspect),
            size=fitted.canvas,
            pixel_format=source.pixel_format,
            settings=settings,
            pipe_format=job.pipe_format,
            passthrough=passthrough,
            partial_output=partial_output,
            resume_token=None if copies else token,
            track=splicer if isinstance(splicer, Splicer) else None,
        )
        sink = opened.enter_context(open_sink(job.output, options, source=source))
        for warning in sink.warnings:
            log.warning("%s", warning)
        run_pipeline(
            source, sink, detector=detector, executor=executor, reducer=reducer, preset=preset, fit=fitted,
            recorder=recorder, progress=progress, skip=partial_output.frames if partial_output else 0,
        )  # fmt: skip
    record_copying(splicer, summary, recorder)
    _complete(summary, source, passthrough)
    if source.deinterlacer is not None:
        summary.add_deinterlacing(source.deinterlacer.counts, kept=deinterlacing.keep_pictures)
    summary.stage_s = {"decode": source.busy_s, **summary.stage_s, "encode": sink.busy_s}
    return summary, recorder


def _settings(job: Job, pixel_format: str, executor: Executor | None, *, transparent: bool) -> EncodeSettings | None:
    """Encoder settings; None if the pictures leave as they are."""
    if job.is_raw:
        return None
    settings = encode_settings(job.preset, pixel_format, job.output, executor, transparent=transparent)
    return replace(settings, cores=job.encoder_cores)


def _executor(networks: Networks, preset: Preset, info: VideoInfo) -> Executor:
    colour = encoding_of(info.colour, height_px=info.height_px)
    return networks.executor(preset.model, device=preset.device, colour=colour)


def _reducer(networks: Networks, executor: Executor | None, preset: Preset) -> ArtifactReducer | None:
    by_kind = preset.which is FrameSelection.PIXELATED
    return networks.reducer(executor, preset.routing.repair) if by_kind and executor is not None else None


def encode_settings(
    preset: Preset, pixel_format: str, output: Path, executor: Executor | None, *, transparent: bool = False
) -> EncodeSettings:
    """Encoder settings of a preset; `auto` is resolved by pixel format, container and available hardware.

    `transparent`: whether the source has opacity, which `auto` keeps where the container can.
    """
    codec = preset.codec
    if codec == "auto" and transparent and output.suffix.lower() in _TRANSPARENT:
        codec = _TRANSPARENT[output.suffix.lower()]
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
    known = source.suffix.lower() in CONTAINERS or is_animation(source)
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
        source="standard input" if job.source == PIPE else str(job.source),
        output="standard output" if job.output == PIPE else str(job.output),
        model=executor.name if executor else "none",
        backend=executor.backend if executor else "none",
        method=detector.name if detector else "none",
        size=f"{fitted.canvas[0]}x{fitted.canvas[1]}",
    )


def _complete(summary: Summary, source: MediaSource, passthrough: Passthrough | None) -> None:
    """Add what is known only at the end: damage, and what the output lacks."""
    summary.damaged, summary.retimed, summary.lost = source.damaged, source.retimed, source.lost
    if passthrough is not None:
        summary.damaged += passthrough.damaged + bool(passthrough.late)
        summary.retimed += passthrough.retimed
        summary.lost += passthrough.lost()
    for lost in summary.lost:
        log.warning("left out: %s", lost)


def _is_html(report: Path | None) -> bool:
    return report is not None and report.suffix.lower() in (".html", ".htm")


def deinterlacing_of(preset: Preset, fitted: Fit, *, transparent: bool = False) -> Deinterlacing:
    """How to deinterlace: with `auto`, an interlaced video that keeps its size changes only where it is repaired.

    A `transparent` one is not, as its opacity would be lost; UsageError if that is asked for.
    """
    if transparent and preset.deinterlace not in (DeinterlaceMode.AUTO, DeinterlaceMode.OFF):
        raise UsageError("--deinterlace: a transparent video is not deinterlaced. Leave it out.")
    if transparent:
        return Deinterlacing(DeinterlaceMode.OFF)
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
