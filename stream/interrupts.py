"""Defers SIGINT and SIGTERM until a frame is completely written."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back until the block is done, then deliver the first of them.

    Python raises for a signal wherever the main thread stands: between an encoder giving its packets out and
    the muxer taking them in, that would lose a frame. In other threads, where no signal arrives, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []
    ours = [number for number in _SIGNALS if signal.getsignal(number) is not None]  # None: set outside Python
    before = {number: signal.signal(number, lambda n, _: caught.append(n)) for number in ours}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if caught:
            signal.raise_signal(caught[0])
