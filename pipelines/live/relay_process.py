"""The process that runs one relay for the supervisor: `python -m deepclarity.pipelines.live.relay_process`.

It reads one request from standard input, writes stats snapshots and log messages to standard output, and exits when
standard input is closed.
"""

from __future__ import annotations

import logging
import select
import signal
import sys
from dataclasses import asdict

from deepclarity.errors import DeepClarityError, hide_secrets
from deepclarity.stream.rtsp import ipc
from deepclarity.stream.rtsp.subprocess import ignore_signals

from .pipeline import Live
from .stats import StatsSnapshot
from .supervisor import RelayConfig


class _Stopped(BaseException):
    """The supervisor closed standard input or sent SIGTERM."""


class _SupervisorHandler(logging.Handler):
    """Sends log records and stats to the supervisor through standard output; safe to use from several threads."""

    def emit(self, record: logging.LogRecord) -> None:
        """Send a log record, without passwords."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text = f"{text}: {type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        self.send(ipc.Message("log", {"level": record.levelno, "text": hide_secrets(text)}))

    def send(self, message: ipc.Message) -> None:
        """Write one complete message."""
        self.acquire()
        try:
            ipc.send(sys.stdout.fileno(), message)
        finally:
            self.release()

    def watch(self, snapshot: StatsSnapshot) -> None:
        """Send the stream's stats; raises _Stopped once the supervisor has closed standard input."""
        self.send(ipc.Message("snapshot", asdict(snapshot)))
        if select.select([sys.stdin.fileno()], [], [], 0)[0]:  # no second request ever follows: readable means closed
            raise _Stopped


def main() -> None:
    """Run the relay until the supervisor stops it or its file ends; exit code 1 on failure."""
    ignore_signals()
    signal.signal(signal.SIGTERM, _stop)
    request = ipc.Inbox(sys.stdin.fileno()).receive()
    if request is None:
        return
    supervisor = _SupervisorHandler()
    log = logging.getLogger("deepclarity")
    log.setLevel(logging.INFO)
    log.propagate = False
    log.handlers[:] = [supervisor]
    try:
        _run(RelayConfig(request.fields["name"], request.fields["values"]), supervisor)
    except (_Stopped, BrokenPipeError):
        return
    except DeepClarityError as error:
        log.error("%s", error)
        sys.exit(1)
    except Exception:
        log.exception("internal error")
        sys.exit(1)


def _run(relay: RelayConfig, supervisor: _SupervisorHandler) -> None:
    with Live(relay.job(), watch=supervisor.watch) as live:
        live.run()
    supervisor.send(ipc.Message("ended"))


def _stop(number: int, frame: object) -> None:
    raise _Stopped


if __name__ == "__main__":
    main()
