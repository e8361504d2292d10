"""The process that runs one relay for the supervisor: `python -m deepclarity.pipelines.live.relay_process`.

Its order comes through standard input; it answers with readings and log messages, and ends when its input does.
"""

from __future__ import annotations

import logging
import select
import signal
import sys
from dataclasses import asdict

from deepclarity.errors import DeepClarityError, hide_secrets
from deepclarity.stream.rtsp import ipc
from deepclarity.stream.rtsp.subprocess import left_alone

from .pipeline import Live
from .stats import Reading
from .supervisor import Relay


class _Dismissed(BaseException):
    """The supervisor has closed our input, or wants us to end."""


class _Parent(logging.Handler):
    """The supervisor's end of our standard output, for one thread at a time."""

    def emit(self, record: logging.LogRecord) -> None:
        """Tell of an event."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text = f"{text}: {type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        self.tell(ipc.Message("log", {"level": record.levelno, "text": hide_secrets(text)}))

    def tell(self, message: ipc.Message) -> None:
        """Say something whole."""
        self.acquire()
        try:
            ipc.send(sys.stdout.fileno(), message)
        finally:
            self.release()

    def watch(self, reading: Reading) -> None:
        """Tell how the stream is doing; _Dismissed where nobody wants to know any more."""
        self.tell(ipc.Message("reading", asdict(reading)))
        if select.select([sys.stdin.fileno()], [], [], 0)[0]:  # nothing more is ever said: it was closed
            raise _Dismissed


def main() -> None:
    """Run the relay until dismissed."""
    left_alone()
    signal.signal(signal.SIGTERM, _dismissed)
    order = ipc.Inbox(sys.stdin.fileno()).take()
    if order is None:
        return
    parent = _Parent()
    log = logging.getLogger("deepclarity")
    log.setLevel(logging.INFO)
    log.propagate = False
    log.handlers[:] = [parent]
    try:
        _run(Relay(order.body["name"], order.body["values"]), parent)
    except (_Dismissed, BrokenPipeError):
        return
    except DeepClarityError as error:
        log.error("%s", error)
        sys.exit(1)
    except Exception:
        log.exception("internal error")
        sys.exit(1)


def _run(relay: Relay, parent: _Parent) -> None:
    with Live(relay.job(), watch=parent.watch) as live:
        live.run()
    parent.tell(ipc.Message("ended"))


def _dismissed(number: int, frame: object) -> None:
    raise _Dismissed


if __name__ == "__main__":
    main()
