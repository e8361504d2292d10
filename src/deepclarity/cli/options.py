"""Options that several commands share."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import click

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
        click.echo(f"{record.levelname.lower()}: {record.getMessage()}", err=True)


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


def changes(**options: object) -> dict[str, object]:
    """The options that were given, to lay over a preset."""
    return {key: value for key, value in options.items() if value is not None}
