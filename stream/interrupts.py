"""Defers SIGINT and SIGTERM until a frame has been written completely."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class WaitEndedError(Exception):
    """A signal has ended a wait; it is raised again when the block of `defer_interrupts` ends."""


class Wait:
    """A wait that a signal may end, within a block in which signals are deferred."""

    def __init__(self) -> None:
        self.active = False
        """Set it, within a `try`, while waiting: only then does a signal raise WaitEndedError."""
        self.caught: list[int] = []
        """The signals that have arrived."""


@contextmanager
def defer_interrupts(wait: Wait | None = None) -> Iterator[None]:
    """Context manager that holds back SIGINT and SIGTERM until the block ends, then raises the first of them again.

    Python runs a signal handler wherever the main thread happens to be: between the encoder's output and the muxer's
    input, an exception would lose a frame; in a function that a library calls back, it would be lost itself. In other
    threads, which receive no signals, this does nothing. `wait`: what a signal may end nevertheless.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught = [] if wait is None else wait.caught

    def catch(number: int, frame: object) -> None:
        caught.append(number)
        if wait is not None and wait.active and len(caught) == 1:
            raise WaitEndedError

    handled = [number for number in _SIGNALS if signal.getsignal(number) is not None]  # None: installed outside Python
    previous = {number: signal.signal(number, catch) for number in handled}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if caught:
            signal.raise_signal(caught[0])
