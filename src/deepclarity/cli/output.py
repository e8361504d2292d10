"""Non-blocking log output to stderr: a full disk, a closed terminal or an unread pipe does not stop a stream."""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time

_STDERR = 2
_MAX_QUEUED = 256
_FLUSH_TIMEOUT_S = 0.5


class AsyncWriter:
    """Writes text to stderr from a background thread; text is dropped while the queue is full."""

    def __init__(self) -> None:
        self._lines: queue.Queue[str] = queue.Queue(_MAX_QUEUED)
        self._thread = threading.Thread(target=self._write, name="stderr-writer", daemon=True)
        self._thread.start()

    def write(self, text: str) -> None:
        """Queue `text`, to be written unchanged."""
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(text)

    def flush(self) -> None:
        """Wait up to 0.5 s until all queued text is written."""
        deadline = time.monotonic() + _FLUSH_TIMEOUT_S
        while self._lines.unfinished_tasks and time.monotonic() < deadline:
            time.sleep(0.01)

    def _write(self) -> None:
        # Bypasses the buffer of sys.stderr: its lock must not be held by a thread that may block for ever.
        while True:
            remaining = self._lines.get().encode(errors="replace")
            with contextlib.suppress(OSError):
                while remaining:
                    remaining = remaining[os.write(_STDERR, remaining) :]
            self._lines.task_done()


_writer: AsyncWriter | None = None


def start_async() -> None:
    """Make `write` and `write_line` non-blocking from now on."""
    global _writer  # noqa: PLW0603  a process has one stderr
    if _writer is None:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()
        _writer = AsyncWriter()


def stop_async() -> None:
    """Flush queued text and return to blocking writes."""
    global _writer  # noqa: PLW0603
    if _writer is not None:
        _writer.flush()
        _writer = None


def write_line(text: str) -> None:
    """Write `text` and a newline to stderr; errors are ignored."""
    write(f"{text}\n")


def write(text: str) -> None:
    """Write `text` to stderr; errors are ignored."""
    if _writer is not None:
        _writer.write(text)
        return
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(text)
        sys.stderr.flush()


def is_terminal() -> bool:
    """Whether stderr is a terminal."""
    return sys.stderr is not None and not sys.stderr.closed and sys.stderr.isatty()
