"""Options shared by several commands, and logging set-up."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from deepclarity.errors import hide_secrets

from . import output
from .completions import complete_method, complete_model, complete_preset

if TYPE_CHECKING:
    from deepclarity.pipelines.preset import Preset
    from deepclarity.stream.live.state import Timeouts

Command = TypeVar("Command", bound=Callable[..., Any])

quiet = click.option("-q", "--quiet", is_flag=True, help="Print only warnings and errors.")
device = click.option("--device", metavar="auto|cpu|cuda[:N]", help="Device to run the networks on.")
device_auto = click.option(
    "--device", default="auto", metavar="auto|cpu|cuda[:N]", help="Device to run the networks on. Default: auto."
)
model = click.option(
    "--model", metavar="TIER|FILE", shell_complete=complete_model,
    help="Enhancer tier, or a model file; see 'deepclarity models'.",
)  # fmt: skip
method = click.option(
    "--method", metavar="DETECTOR", shell_complete=complete_method, help="Detector; see 'deepclarity models'."
)
pixel_art = click.option("--pixel-art", is_flag=True, default=None, help="Treat pixel art as pixelated.")
all_frames = click.option("--all", "which", flag_value="all", help="Enhance every frame, pixelated or not.")
no_frames = click.option("--none", "which", flag_value="none", help="Enhance no frame: only resize or copy.")
repair = click.option(
    "--repair",
    metavar="KINDS",
    help="Kinds to repair, of pixelated,blocky,soft. Default: pixelated,blocky.",
)
deinterlace = click.option(
    "--deinterlace", metavar="auto|off|frame|field",
    help="Deinterlacing. auto: where frames are resized or repaired, and telecine becomes film; "
    "frame, field: always, one frame per picture or per field.",
)  # fmt: skip
crf = click.option("--crf", type=int, metavar="N", help="Constant rate factor; lower is better quality.")
speed = click.option("--speed", metavar="PRESET", help="Encoder speed preset: ultrafast … veryslow.")
port = click.option(
    "--port", type=click.IntRange(0, 65535), default=7860, help="Port to listen on; 0: any free port. Default: 7860."
)
track = click.option(
    "--track", type=click.IntRange(0), metavar="N", help="Index of the video track. Default: the one that is the video."
)
overwrite = click.option("-y", "--yes", is_flag=True, help="Overwrite the output if it exists.")


def preset(default: str) -> Callable[[Command], Command]:
    """`--preset`, with the name of the default preset."""
    text = f"Preset name or path of a TOML file. Default: {default}."
    return click.option("--preset", "preset_name", default=default, shell_complete=complete_preset, help=text)


def debug(command: Command) -> Command:
    """`--debug`: sets the log level. `app.run` reads the flag itself, so tracebacks are shown for every failure."""

    def set_level(context: click.Context, parameter: click.Parameter, value: bool) -> None:
        configure_logging(logging.DEBUG if value else logging.WARNING)

    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=set_level,
        is_eager=True,
        help="Show tracebacks and debug messages.",
    )(command)


class _StderrHandler(logging.Handler):
    """Log handler that writes one line per message to the current stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        output.write_line(f"{record.levelname.lower()}: {hide_secrets(record.getMessage())}")


def configure_logging(level: int) -> None:
    """Print log messages of DeepClarity at `level` and above to stderr."""
    log = logging.getLogger("deepclarity")
    log.setLevel(level)
    log.propagate = False
    log.handlers[:] = [_StderrHandler()]


def silence_opencv() -> None:
    """Disable OpenCV's own log output: damaged pictures are already reported as DeepClarity errors."""
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


_LIVE = (
    preset("live"),
    model,
    method,
    pixel_art,
    all_frames,
    no_frames,
    repair,
    click.option("--size", metavar="WxH", help="Output size, constant for the entire stream. Default: 1920x1080."),
    click.option("--codec", metavar="h264|hevc", help="Output codec. Default: h264."),
    crf,
    speed,
    click.option(
        "--latency", "latency_ms", type=click.IntRange(10, 10_000), metavar="MS",
        help="Target latency in milliseconds; a faster tier takes over when frames are older. Default: 100.",
    ),
    device,
    click.option("--seconds", type=click.FloatRange(min=0), metavar="N", help="Stop after N seconds."),
    click.option(
        "--timeout", "timeout_s", type=click.FloatRange(min=0.5, max=600), default=5.0, show_default=True, metavar="S",
        help="Timeout in seconds for connecting and for the next packet.",
    ),
    click.option("--insecure-tls", is_flag=True, help="Accept any certificate of rtsps, rtmps and https peers."),
    click.option(
        "--metrics", type=click.IntRange(0, 65535), metavar="PORT",
        help="Serve /metrics and /healthz on this port; 0: any free port.",
    ),
    click.option(
        "--metrics-host", default="127.0.0.1", show_default=True, metavar="HOST", help="Address for --metrics."
    ),
    click.option("--log-json", is_flag=True, help="Print log messages and status as JSON lines on stderr."),
)  # fmt: skip


def live_options(command: Command) -> Command:
    """The options that `live` and `relay` share."""
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed((*_LIVE, quiet, debug)), command)


@dataclass(frozen=True, slots=True)
class LiveRunOptions:
    """Run options of a live command: duration, timeout, metrics, logging."""

    seconds: float | None
    timeout_s: float
    insecure_tls: bool
    metrics: int | None
    metrics_host: str
    log_json: bool
    quiet: bool

    @property
    def timeouts(self) -> Timeouts:
        """Timeouts of the source: the same for connecting and for the next packet."""
        from deepclarity.stream.live.state import Timeouts

        return Timeouts(self.timeout_s, self.timeout_s)


def parse_live(values: dict[str, Any]) -> tuple[Preset, LiveRunOptions]:
    """The preset, overridden by the options on the command line, and the run options."""
    run = pop_run_options(values)
    return load_overridden_preset(values.pop("preset_name"), values), run


def pop_run_options(values: dict[str, Any]) -> LiveRunOptions:
    """Remove the run options from `values` and return them; raises UsageError if one is invalid."""
    from deepclarity.errors import UsageError

    keys = ("seconds", "timeout_s", "insecure_tls", "metrics", "metrics_host", "log_json", "quiet")
    run = LiveRunOptions(**{key: values.pop(key) for key in keys})
    if run.seconds is not None and not math.isfinite(run.seconds):
        raise UsageError("--seconds: give a number of seconds, not 'nan' or 'inf'. Leave it out to run until stopped.")
    if not run.metrics_host:
        raise UsageError("--metrics-host: empty. Use 127.0.0.1, or 0.0.0.0 for all interfaces.")
    return run


def load_overridden_preset(name: str, values: dict[str, Any]) -> Preset:
    """Load a preset and override it by the options in `values` that are set (not None)."""
    from deepclarity.pipelines.preset import load_preset, parse_deinterlace
    from deepclarity.pipelines.route import FrameSelection, parse_repair

    overrides = {key: value for key, value in values.items() if value is not None}
    if "which" in overrides:
        overrides["which"] = FrameSelection(overrides["which"])
    if "deinterlace" in overrides:
        overrides["deinterlace"] = parse_deinterlace(overrides["deinterlace"])
    if "repair" in overrides:
        parse_repair(overrides["repair"])
    return replace(load_preset(name), **overrides)
