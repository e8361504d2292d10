"""Helper processes for tests that end with the test: orders on stdin, JSON lines on stdout."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

_ROOT = Path(__file__).parents[2]
_END_S = 5.0

News = dict[str, Any]


class HelperProcess:
    """`python -m MODULE`, reported by `hear`, which is called on a thread of its own with everything it says."""

    def __init__(self, module: str, hear: Callable[[News], None], *, python: str = sys.executable) -> None:
        self._process = subprocess.Popen(
            [python, "-m", module], cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._listener = threading.Thread(target=self._listen, args=(hear,), name=f"{module} listener", daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs, or is stopped."""
        return self._process.poll() is None

    def order(self, order: News, payload: bytes = b"") -> None:
        """Send one order, `payload` behind it; a child that has gone hears nothing."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._process.stdin.write(json.dumps({**order, "payload_bytes": len(payload)}).encode() + b"\n" + payload)
            self._process.stdin.flush()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def end(self, *, wait_s: float = 0.0) -> None:
        """Let it end by itself for `wait_s`, then kill it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if wait_s:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(wait_s)
        self._process.kill()
        self._process.wait(_END_S)
        self._listener.join(_END_S)
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()

    def _listen(self, hear: Callable[[News], None]) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.endswith(b"}\n"):
                hear(json.loads(line))


# In the child ---------------------------------------------------------------------------------------------------------


def orders(inbox: BinaryIO) -> Iterator[tuple[News, bytes]]:
    """What the test orders, until it has gone."""
    for line in inbox:
        order = json.loads(line)
        yield order, inbox.read(order["payload_bytes"])


def follow_orders(obey: Callable[[News, bytes], None]) -> None:
    """Call `obey` for every order, on a thread; the process ends with the test, whatever it is waiting for."""

    def follow() -> None:
        for order, payload in orders(sys.stdin.buffer):
            obey(order, payload)
        os._exit(0)

    threading.Thread(target=follow, daemon=True).start()


def notify(**news: object) -> None:
    """Report the test; a test that has gone is the end."""
    try:
        sys.stdout.write(json.dumps(news) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(0)
