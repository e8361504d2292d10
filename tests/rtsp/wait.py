"""Waits for a condition with a time limit."""

from __future__ import annotations

import time
from collections.abc import Callable

_POLL_S = 0.01


def wait_until(condition: Callable[[], object], *, timeout_s: float, what: str | Callable[[], str] = "it") -> None:
    """Wait for `condition()` to be true; AssertionError naming `what` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            description = what if isinstance(what, str) else what()
            raise AssertionError(f"{description}: not within {timeout_s:g} s")
        time.sleep(_POLL_S)
