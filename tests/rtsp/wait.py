"""Waits for a condition with a time limit."""

from __future__ import annotations

import time
from collections.abc import Callable

_LOOK_EVERY_S = 0.01


def until(happened: Callable[[], object], *, timeout_s: float, what: str | Callable[[], str] = "it") -> None:
    """Wait for `happened()` to be true; AssertionError after `timeout_s`, saying `what` was waited for."""
    deadline = time.monotonic() + timeout_s
    while not happened():
        if time.monotonic() > deadline:
            waited_for = what if isinstance(what, str) else what()
            raise AssertionError(f"{waited_for}: not within {timeout_s:g} s")
        time.sleep(_LOOK_EVERY_S)
