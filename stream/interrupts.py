"""Defers SIGINT and SIGTERM until a frame has been written completely."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def defer_interrupts() -> Iterator[None]:
    """Context manager that holds back SIGINT and SIGTERM until the block ends, then raises the first of them again.

    Python runs a signal handler wherever the main thread happens to be: between the encoder's output and the muxer's
    input, an exception would lose a frame. Does nothing in other threads, which receive no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []
    handled = [number for number in _SIGNALS if signal.getsignal(number) is not None]  # None: installed outside Python
    previous = {number: signal.signal(number, lambda n, _: caught.append(n)) for number in handled}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if caught:
            signal.raise_signal(caught[0])
