"""Words on stderr that hold nobody up: a full disk, a closed terminal or a pipe that nobody reads ends no stream."""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time

_STDERR = 2
_MOST_WAITING = 256
_LAST_WORDS_S = 0.5


class AsyncWriter:
    """Writes lines in a thread of its own; what does not fit is not said."""

    def __init__(self) -> None:
        self._lines: queue.Queue[str] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._write, name="teller", daemon=True)
        self._thread.start()

    def say(self, text: str) -> None:
        """Leave some text to be written as it is."""
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(text)

    def finish(self) -> None:
        """Wait for a moment until all is written."""
        deadline = time.monotonic() + _LAST_WORDS_S
        while self._lines.unfinished_tasks and time.monotonic() < deadline:
            time.sleep(0.01)

    def _write(self) -> None:
        # Past Python's own buffer, whose lock must not be held by a thread that never comes back.
        while True:
            left = self._lines.get().encode(errors="replace")
            with contextlib.suppress(OSError):
                while left:
                    left = left[os.write(_STDERR, left) :]
            self._lines.task_done()


_writer: AsyncWriter | None = None


def begin() -> None:
    """From now on `say` holds nobody up."""
    global _writer  # noqa: PLW0603  a process has one stderr
    if _writer is None:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()
        _writer = AsyncWriter()


def end() -> None:
    """Write what is left, for a moment, and go back to plain writing."""
    global _writer  # noqa: PLW0603
    if _writer is not None:
        _writer.finish()
        _writer = None


def say(text: str, *, newline: bool = True) -> None:
    """Write `text` on stderr; where that cannot be done, nothing happens."""
    whole = f"{text}\n" if newline else text
    if _writer is not None:
        _writer.say(whole)
        return
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(whole)
        sys.stderr.flush()


def is_terminal() -> bool:
    """Whether stderr is a terminal."""
    return sys.stderr is not None and not sys.stderr.closed and sys.stderr.isatty()
