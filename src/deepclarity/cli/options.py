"""Options that several commands share."""

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

if TYPE_CHECKING:
    from deepclarity.pipelines.preset import Preset
    from deepclarity.stream.live.state import Waiting

Command = TypeVar("Command", bound=Callable[..., Any])

quiet = click.option("-q", "--quiet", is_flag=True, help="Say nothing but warnings and errors.")
device = click.option("--device", metavar="auto|cpu|cuda[:N]", help="Where the network runs.")
model = click.option("--model", metavar="TIER", help="Enhancer tier; see 'deepclarity models'.")
method = click.option("--method", metavar="DETECTOR", help="Detector; see 'deepclarity models'.")
pixel_art = click.option("--pixel-art", is_flag=True, default=None, help="Pixel art counts as pixelated, too.")


def debug(command: Command) -> Command:
    """`--debug`: tracebacks and debug messages. Read by `run`, so that it serves failures everywhere."""

    def begin(context: click.Context, parameter: click.Parameter, value: bool) -> None:
        listen(logging.DEBUG if value else logging.WARNING)

    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=begin,
        is_eager=True,
        help="Show tracebacks and debug messages.",
    )(command)


class _Stderr(logging.Handler):
    """One line a message on whatever stderr is now."""

    def emit(self, record: logging.LogRecord) -> None:
        output.say(f"{record.levelname.lower()}: {hide_secrets(record.getMessage())}")


def listen(level: int) -> None:
    """Print the project's log messages from `level` on."""
    log = logging.getLogger("deepclarity")
    log.setLevel(level)
    log.propagate = False
    log.handlers[:] = [_Stderr()]


def hush_opencv() -> None:
    """A damaged picture is told in our own words, once."""
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


_LIVE = (
    click.option("--preset", "preset_name", default="live", help="Name of a preset, or a TOML file of yours."),
    model,
    method,
    pixel_art,
    click.option("--all", "which", flag_value="all", help="Enhance every frame, pixelated or not."),
    click.option("--none", "which", flag_value="none", help="Enhance nothing: only resize and re-encode."),
    click.option("--size", metavar="WxH", help="Size that leaves, always the same; default 1920x1080."),
    click.option("--codec", metavar="h264|hevc", help="Default: h264."),
    click.option("--crf", type=int, metavar="N", help="Constant rate factor: less is better and larger."),
    click.option("--speed", metavar="PRESET", help="Encoder effort: ultrafast … veryslow."),
    click.option(
        "--latency", "latency_ms", type=click.IntRange(10, 10_000), metavar="MS",
        help="Age from which a simpler tier takes over.",
    ),
    device,
    click.option("--seconds", type=click.FloatRange(min=0), metavar="N", help="End after so long."),
    click.option(
        "--timeout", "timeout_s", type=click.FloatRange(min=0.5, max=600), default=5.0, show_default=True, metavar="S",
        help="Longest that an answer or the next packet is waited for.",
    ),
    click.option("--metrics", type=click.IntRange(0, 65535), metavar="PORT", help="Serve /metrics and /healthz."),
    click.option("--metrics-host", default="127.0.0.1", show_default=True, metavar="HOST", help="Where to serve them."),
    click.option("--log-json", is_flag=True, help="Messages and status as JSON lines on stderr."),
)  # fmt: skip


def live_shared(command: Command) -> Command:
    """What `live` and `relay` have in common."""
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed((*_LIVE, quiet, debug)), command)


@dataclass(frozen=True, slots=True)
class LiveRun:
    """How a live command is run and watched."""

    seconds: float | None
    timeout_s: float
    metrics: int | None
    metrics_host: str
    log_json: bool
    quiet: bool

    @property
    def waiting(self) -> Waiting:
        """How long a source is waited for."""
        from deepclarity.stream.live.state import Waiting

        return Waiting(self.timeout_s, self.timeout_s)


def live_settings(given: dict[str, Any]) -> tuple[Preset, LiveRun]:
    """The preset with the options that were given laid over it, and how to run."""
    from deepclarity.pipelines.preset import load_preset

    run = live_run(given)
    preset = load_preset(given.pop("preset_name"))
    return replace(preset, **typed(given)), run


def live_run(given: dict[str, Any]) -> LiveRun:
    """How to run; the rest stays in `given`."""
    from deepclarity.errors import UsageError

    keys = ("seconds", "timeout_s", "metrics", "metrics_host", "log_json", "quiet")
    run = LiveRun(**{key: given.pop(key) for key in keys})
    if run.seconds is not None and not math.isfinite(run.seconds):
        raise UsageError("--seconds: a number of seconds, not 'nan' or 'inf'. Leave it out to run until stopped.")
    if not run.metrics_host:
        raise UsageError("--metrics-host: no host. Use 127.0.0.1, or 0.0.0.0 for all.")
    return run


def typed(given: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, in the preset's types."""
    from deepclarity.pipelines.route import Which

    wanted: dict[str, Any] = changes(**given)
    if "which" in wanted:
        wanted["which"] = Which(wanted["which"])
    return wanted


def changes(**options: object) -> dict[str, object]:
    """The options that were given, to lay over a preset."""
    return {key: value for key, value in options.items() if value is not None}
