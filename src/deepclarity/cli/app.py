"""Entry point of the command line: lazy command loading, signal handling, exit codes.

Starts fast because the libraries of a command are imported only when that command runs.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import click

from deepclarity.errors import DeepClarityError, hide_secrets
from deepclarity.version import __version__

from . import output

_COMMANDS = {
    "upscale": "Repair the pixelated frames of a video file.",
    "detect": "Detect pixelation in pictures and videos.",
    "correct": "Repair pixelated pictures.",
    "batch": "Repair folders and lists of videos and pictures.",
    "live": "Repair a camera stream in real time.",
    "relay": "Repair a network stream and publish it via RTSP.",
    "demo": "Generate a pixelated clip, repair it and write a report.",
    "web": "Start the web app.",
    "detect_app": "Start the web app with the Detect page only.",
    "correct_app": "Start the web app with the Correct page only.",
    "train": "Train an enhancer or a detector on your own photos.",
    "models": "List the available models, detectors and presets.",
    "export": "Export a tier as ONNX, TorchScript or safetensors.",
    "evaluate": "Evaluate enhancers and detectors on test data.",
    "licenses": "List the licences of what is installed.",
    "completion": "Print a script for shell completion.",
}

_MODULES = {
    "detect_app": "page_apps",
    "correct_app": "page_apps",
    "licenses": "info.licenses",
    "completion": "info.completion",
}
"""Modules of commands that are not named like their command."""
COMPLETE_VARIABLE = "_DEEPCLARITY_COMPLETE"
"""Set by the scripts that `deepclarity completion` prints."""

Handler = Callable[[int, FrameType | None], Any] | int | None


class SignalExit(BaseException):
    """SIGTERM or SIGHUP, raised in the main thread so that context managers close everything that is open."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__()
        self.number = number


class _LazyGroup(click.Group):
    """Imports the module of a command only when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"deepclarity.cli.commands.{_MODULES.get(cmd_name, cmd_name)}")
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="deepclarity")
def cli() -> None:
    """Repair the pixelated frames of a video and leave all other frames unchanged."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit.

    Exit codes: 0 success, 1 internal error, 2 invalid input, 3 damaged input, 4 output cannot be written,
    5 device error, 128 + N terminated by signal N (130 for Ctrl-C), 141 broken pipe.
    """
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code. A failure prints one line on stderr; `--debug` adds the traceback."""
    if instruction := os.environ.get(COMPLETE_VARIABLE):
        from click.shell_completion import shell_complete

        return shell_complete(cli, {}, "deepclarity", COMPLETE_VARIABLE, instruction)
    previous_handlers = _install_signal_handlers()
    try:
        with cli.make_context("deepclarity", list(arguments)) as context:
            result = cli.invoke(context)
        if sys.stdout is not None:
            sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        return _report_click_error(error)
    except click.exceptions.Exit as error:
        return error.exit_code
    except BrokenPipeError:  # the reader of stdout has gone: exit silently
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (Exception, KeyboardInterrupt, SignalExit) as error:  # last resort: no failure goes unreported
        if "--debug" in arguments:
            sys.excepthook(type(error), error, error.__traceback__)
        return _report_failure(*_message_and_exit_code(error))
    finally:
        output.stop_async()
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)


def _report_click_error(error: click.ClickException) -> int:
    """Report a usage error raised by click; returns the exit code."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return 2
    where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "deepclarity"
    return _report_failure(f"{error.format_message()} See '{where} --help'.", 2)


def _message_and_exit_code(error: BaseException) -> tuple[str, int]:
    """The error message and exit code for an exception."""
    if isinstance(error, DeepClarityError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return "stopped.", 130
    if isinstance(error, SignalExit):
        return "terminated.", 128 + error.number
    if isinstance(error, MemoryError):
        return "out of memory. Close other programs, or try a smaller --size.", 5
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "no space left for the output. Free some space.", 4
    text = f"internal error: {type(error).__name__}: {error}. Run again with --debug and report this bug."
    return hide_secrets(text), 1


def _report_failure(message: str, code: int) -> int:
    output.write_line(f"deepclarity: {hide_secrets(' '.join(message.split()))}")
    return code


def _install_signal_handlers() -> dict[int, Handler]:
    """Raise SignalExit on SIGTERM and SIGHUP; returns the previous handlers. Ignored signals (`nohup`) stay ignored."""

    def terminate(number: int, frame: FrameType | None) -> None:
        raise SignalExit(number)

    previous: dict[int, Handler] = {}
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is None or signal.getsignal(number) in (signal.SIG_IGN, None):
            continue
        with contextlib.suppress(ValueError):  # not in the main thread: the caller handles signals
            previous[number] = signal.signal(number, terminate)
    return previous
