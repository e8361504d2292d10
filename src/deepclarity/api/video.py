"""Public API for files: `upscale` repairs a video file, `detect_file` scores one."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from deepclarity.errors import UsageError, did_you_mean
from deepclarity.models.detectors import DEFAULT_DETECTOR
from deepclarity.models.verdict import Detector
from deepclarity.pipelines import upscale as pipeline
from deepclarity.pipelines.detect_file import FileVerdict
from deepclarity.pipelines.detect_file import detect_file as detect_path
from deepclarity.pipelines.jobs.job import Job
from deepclarity.pipelines.preset import Preset, check_copy, load_preset, parse_deinterlace
from deepclarity.pipelines.records import Summary
from deepclarity.pipelines.route import FrameSelection, parse_repair
from deepclarity.stream.info import VideoInfo

from .networks import as_detector

Progress = Callable[[int, int | None], None]
"""Called after every frame written with the frames done so far and the expected total (None: unknown)."""


def upscale(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    preset: Preset | str = "default",
    model: str | os.PathLike[str] | None = None,
    detector: str | None = None,
    which: str | None = None,
    repair: str | None = None,
    size: str | None = None,
    deinterlace: str | None = None,
    codec: str | None = None,
    crf: int | None = None,
    copy: str | None = None,
    device: str | None = None,
    report: str | os.PathLike[str] | None = None,
    track: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    fps: Fraction | float | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Repair the pixelated frames of a video file; what `deepclarity upscale` does.

    Args:
        source: The video file; a GIF, an animated WebP or APNG; or numbered pictures, `frames/%05d.png`.
        output: The file to write, of any of these kinds; default: `film.clear.mp4` beside `film.mp4`.
        preset: Name of a preset, path of a TOML file, or a `Preset`. The arguments below override it.
        model: `auto`, `turbo`, `srgan`, …, or the path of a model file.
        detector: `lattice-net`, `grid`, …
        which: Frames to repair: `pixelated`, `all` or `none`.
        repair: Kinds to repair, of `pixelated,blocky,soft`.
        size: `auto` (Full HD, larger videos keep their size), `fhd` or `WIDTHxHEIGHT`.
        deinterlace: `auto` (frames that are resized or repaired; telecine becomes film), `off`, `frame` or `field`.
        codec: `h264`, `hevc` or `av1`.
        crf: Constant rate factor of the encoder; lower is better quality.
        copy: `auto` copies segments without a frame to repair byte for byte if size and codec stay, or `never`.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        report: Path of a report to write, `.html` or `.json`.
        track: Index of the video track in the file; None takes the one that is the video.
        resume: Continue an interrupted run of the same job.
        overwrite: Replace an output that exists.
        fps: Pictures per second of numbered pictures; default: 25.
        progress: Called after every frame with (frames done, expected frames or None).

    Returns:
        The `Summary` of the run. `Summary.damaged` counts packets that could not be decoded.

    Raises:
        SourceError: The source is missing or no video.
        UsageError: An option cannot be used, or the output already exists.
        OutputError, DeviceError: The output cannot be written; the device does not exist or failed.
    """
    changes = {"model": model, "method": detector, "which": which, "repair": repair, "size": size, "copy": copy}
    more = {"deinterlace": deinterlace, "codec": codec, "crf": crf, "device": device, "track": track}
    job = Job(
        Path(source), _path(output) or pipeline.default_output(Path(source)), _overridden(preset, **changes, **more),
        overwrite, _path(report), resume=resume, rate=_rate(fps),
    )  # fmt: skip
    return pipeline.upscale(job, progress=_as_pipeline_progress(progress))


def _path(path: str | os.PathLike[str] | None) -> Path | None:
    return None if path is None else Path(path)


def _rate(fps: Fraction | float | None) -> Fraction | None:
    return None if fps is None else Fraction(fps).limit_denominator(100_000)


def _as_pipeline_progress(progress: Progress | None) -> Callable[[Summary, VideoInfo], None]:
    def report_progress(summary: Summary, info: VideoInfo) -> None:
        if progress is not None:
            progress(summary.frames_out, info.expected_frames)

    return report_progress


def detect_file(
    path: str | os.PathLike[str], *, detector: Detector | str = DEFAULT_DETECTOR, track: int | None = None
) -> FileVerdict:
    """Score a picture or video file; what `deepclarity detect` does.

    Args:
        path: The file.
        detector: Name of a method, loaded once and kept, or what `load_detector` returned.
        track: Index of the video track in the file; None takes the one that `upscale` takes.

    Returns:
        A `FileVerdict`; of a video, `ranges` lists the pixelated stretches of time.

    Raises:
        SourceError: The file is missing, or neither a picture nor a video.
        UsageError: No such method, or no such video track.
    """
    return detect_path(Path(path), as_detector(detector), track=track)


def _overridden(preset: Preset | str, **given: Any) -> Preset:
    """`preset`, or the one of that name, with the arguments that the caller gives in place of its own."""
    changes = {key: value for key, value in given.items() if value is not None}
    if "model" in changes:
        changes["model"] = os.fspath(changes["model"])
    if "which" in changes:
        which = str(changes["which"])
        if which not in set(FrameSelection):
            raise UsageError(f"which '{which}'; {did_you_mean(which, list(FrameSelection))}")
        changes["which"] = FrameSelection(which)
    if "copy" in changes:
        check_copy(str(changes["copy"]), where="copy")
    if "deinterlace" in changes:
        changes["deinterlace"] = parse_deinterlace(str(changes["deinterlace"]), where="deinterlace")
    if "repair" in changes:
        parse_repair(str(changes["repair"]), where="repair")
    return replace(load_preset(preset) if isinstance(preset, str) else preset, **changes)
