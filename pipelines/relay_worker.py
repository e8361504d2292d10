"""The process that runs one relay for the supervisor: `python -m deepclarity.pipelines.relay_worker`.

Its order comes through standard input; it answers with readings and log messages, and ends when its input does.
"""

from __future__ import annotations

import logging
import select
import signal
import sys
from dataclasses import asdict

from deepclarity.errors import DeepClarityError, hide_secrets
from deepclarity.stream import wire
from deepclarity.stream.child import left_alone

from .live import Live
from .pulse import Reading
from .relays import Relay


class _Dismissed(BaseException):
    """The supervisor has closed our input, or wants us to end."""


class _ToParent(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _tell(wire.Message("log", {"level": record.levelno, "text": hide_secrets(record.getMessage())}))


def main() -> None:
    """Run the relay until dismissed."""
    left_alone()
    signal.signal(signal.SIGTERM, _dismissed)
    order = wire.Inbox(sys.stdin.fileno()).take()
    if order is None:
        return
    log = logging.getLogger("deepclarity")
    log.setLevel(logging.INFO)
    log.handlers[:] = [_ToParent()]
    try:
        relay = Relay(order.body["name"], order.body["values"])
        _watch(Reading(relay.name))
        with Live(relay.job(), watch=_watch) as live:
            live.run()
    except (DeepClarityError, MemoryError) as error:
        log.error("%s", error)
        sys.exit(1)
    except (_Dismissed, BrokenPipeError):
        return


def _dismissed(number: int, frame: object) -> None:
    raise _Dismissed


def _watch(reading: Reading) -> None:
    _tell(wire.Message("reading", asdict(reading)))
    if select.select([sys.stdin.fileno()], [], [], 0)[0]:  # nothing more is ever said: it was closed
        raise _Dismissed


def _tell(message: wire.Message) -> None:
    wire.send(sys.stdout.fileno(), message)


if __name__ == "__main__":
    main()
