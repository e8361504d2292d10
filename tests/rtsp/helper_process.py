"""Helper processes for tests: commands on their stdin, JSON messages on their stdout; they end with the test."""

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
_TIMEOUT_S = 5.0

Message = dict[str, Any]


class HelperProcess:
    """Runs `python -m MODULE`; `on_message` is called on a background thread with every message it sends."""

    def __init__(self, module: str, on_message: Callable[[Message], None], *, python: str = sys.executable) -> None:
        self._process = subprocess.Popen(
            [python, "-m", module], cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._reader = threading.Thread(
            target=self._read_messages, args=(on_message,), name=f"{module} reader", daemon=True
        )
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still exists, running or stopped by a signal."""
        return self._process.poll() is None

    def send_command(self, command: Message, payload: bytes = b"") -> None:
        """Send a command, followed by `payload`; ignored if the process has ended."""
        assert self._process.stdin is not None
        line = json.dumps({**command, "payload_bytes": len(payload)}).encode() + b"\n"
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._process.stdin.write(line + payload)
            self._process.stdin.flush()

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def stop(self, *, timeout_s: float = 0.0) -> None:
        """Wait up to `timeout_s` for it to exit, then kill it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if timeout_s:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout_s)
        self._process.kill()
        self._process.wait(_TIMEOUT_S)
        self._reader.join(_TIMEOUT_S)
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()

    def _read_messages(self, on_message: Callable[[Message], None]) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.endswith(b"}\n"):
                on_message(json.loads(line))


# In the helper process ------------------------------------------------------------------------------------------------


def read_commands(stdin: BinaryIO) -> Iterator[tuple[Message, bytes]]:
    """Yield the test's commands and their payloads until the test ends."""
    for line in stdin:
        command = json.loads(line)
        yield command, stdin.read(command["payload_bytes"])


def handle_commands(handler: Callable[[Message, bytes], None]) -> None:
    """Call `handler` for every command, on a thread. When the test ends, the process exits, even while blocked."""

    def handle_all() -> None:
        for command, payload in read_commands(sys.stdin.buffer):
            handler(command, payload)
        os._exit(0)

    threading.Thread(target=handle_all, daemon=True).start()


def notify(**message: object) -> None:
    """Send a message to the test; exit if the test has ended."""
    try:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(0)
