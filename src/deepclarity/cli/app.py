"""The command line. Starts fast: a command's own libraries are imported when it runs."""

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

from deepclarity import __version__
from deepclarity.errors import DeepClarityError, hide_secrets

from . import output

_COMMANDS = {
    "upscale": "Repair the pixelated frames of a video file.",
    "detect": "Say whether pictures or videos are pixelated.",
    "correct": "Repair a picture.",
    "live": "Repair what a camera sees, as it comes.",
    "relay": "Repair a network stream and publish it, until stopped.",
    "demo": "Make a clip, pixelate part of it, repair it, show where.",
    "web": "Serve the web app.",
    "detect_app": "Serve the page that detects.",
    "correct_app": "Serve the page that corrects.",
    "train": "Train the models from photos of one's own.",
    "models": "List the models and detectors.",
    "evaluate": "Measure the enhancer tiers and the detectors on test data.",
}


Handler = Callable[[int, FrameType | None], Any] | int | None


class Terminated(BaseException):
    """SIGTERM or SIGHUP, raised where the main thread stands, so that everything open is closed properly."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__()
        self.number = number


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"deepclarity.cli.commands.{cmd_name}")
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="deepclarity")
def cli() -> None:
    """DeepClarity repairs the pixelated frames of a video and leaves every other frame alone."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 ok, 2 bad input, 3 damaged input, 4 output, 5 device, 130, 143."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run one command; its exit code. A failure is one line on stderr, a traceback only with `--debug`."""
    before = _catch_ends()
    try:
        with cli.make_context("deepclarity", list(arguments)) as context:
            result = cli.invoke(context)
        if sys.stdout is not None:
            sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        return _refused(error)
    except click.exceptions.Exit as error:
        return error.exit_code
    except BrokenPipeError:  # whoever read our output has gone: nobody is left to tell
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (Exception, KeyboardInterrupt, Terminated) as error:  # the last resort, so that every failure is told
        if "--debug" in arguments:
            sys.excepthook(type(error), error, error.__traceback__)
        return _failed(*_told(error))
    finally:
        output.end()
        for number, handler in before.items():
            signal.signal(number, handler)


def _refused(error: click.ClickException) -> int:
    """What click itself refuses."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return 2
    where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "deepclarity"
    return _failed(f"{error.format_message()} See '{where} --help'.", 2)


def _told(error: BaseException) -> tuple[str, int]:
    """What is said of an error, and the exit code."""
    if isinstance(error, DeepClarityError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return "stopped.", 130
    if isinstance(error, Terminated):
        return "terminated.", 128 + error.number
    if isinstance(error, MemoryError):
        return "out of memory. Close other programs, or try a smaller --size.", 5
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "no space left where the output goes; free some.", 4
    text = f"internal error: {type(error).__name__}: {error}. Run again with --debug and report it."
    return hide_secrets(text), 1


def _failed(message: str, code: int) -> int:
    output.say(f"deepclarity: {hide_secrets(' '.join(message.split()))}")
    return code


def _catch_ends() -> dict[int, Handler]:
    """End in good order when told to, or when the terminal goes; what handled that before. `nohup` is respected."""

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated(number)

    before: dict[int, Handler] = {}
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is None or signal.getsignal(number) in (signal.SIG_IGN, None):
            continue
        with contextlib.suppress(ValueError):  # not the main thread: whoever called us handles signals
            before[number] = signal.signal(number, terminate)
    return before
