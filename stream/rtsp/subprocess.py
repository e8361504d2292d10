"""Runs blocking I/O in a child process that can be terminated."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from types import TracebackType

from deepclarity.errors import UsageError

from . import ipc

_STOP_TIMEOUT_S = 2.0
_PIPE_BYTES = 1 << 20
_SET_PIPE_SIZE = 1031  # Linux's F_SETPIPE_SZ


class SubprocessLostError(RuntimeError):
    """A child process has ended, or does not read its messages."""


class Subprocess:
    """A child process that runs a module and ends with the `with` block.

    It runs in its own process group: Ctrl-C reaches only the parent, which stops the child in an orderly way.
    """

    def __init__(self, module: str) -> None:
        """Start `python -m module`; raises SubprocessLostError if the system cannot start a process."""
        if sys.platform == "win32":
            raise UsageError("live streams are for Linux and macOS: Windows cannot wait for several pipes at once.")
        try:
            self._start(module)
        except OSError as error:
            raise SubprocessLostError(f"cannot start a process ({error.strerror})") from error

    def _start(self, module: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        for pipe in (self._stdin, self._stdout):
            _widen(pipe.fileno())
        os.set_blocking(self._stdin.fileno(), False)
        self.inbox = ipc.Inbox(self._stdout.fileno())

    def send(self, message: ipc.Message, *, timeout_s: float = _STOP_TIMEOUT_S) -> None:
        """Send a message; raises SubprocessLostError if the process has ended or does not read for `timeout_s`."""
        try:
            ipc.send(self._stdin.fileno(), message, timeout_s=timeout_s)
        except TimeoutError as error:
            raise SubprocessLostError("it no longer reads its messages") from error
        except (OSError, ValueError) as error:
            raise SubprocessLostError("it has ended") from error

    def __enter__(self) -> Subprocess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close_stdin(self) -> None:
        """Close its standard input, the signal to end."""
        with contextlib.suppress(OSError):
            self._stdin.close()

    def finish(self, *, timeout_s: float = _STOP_TIMEOUT_S) -> None:
        """Ask it to end, wait for a while, then terminate it."""
        self.close_stdin()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        self.close()

    def close(self) -> None:
        """Terminate it now."""
        if self._process.poll() is None:
            self._process.kill()  # it holds no state that a graceful end would save
        with contextlib.suppress(subprocess.TimeoutExpired):  # a driver may block it in the kernel
            self._process.wait(_STOP_TIMEOUT_S)
        for pipe in (self._stdin, self._stdout):
            with contextlib.suppress(OSError):
                pipe.close()


def ignore_signals() -> None:
    """Called in the child: ignore signals sent to the process group; the parent ends the child in an orderly way."""
    for name in ("SIGINT", "SIGHUP", "SIGTERM"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def arm_watchdog(seconds: float) -> None:
    """Called in the child: a watchdog that ends it unless called again within `seconds`; 0 cancels it.

    The kernel's timer works even while a library call holds the interpreter. Windows has none: there only the parent
    can end the child.
    """
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _widen(descriptor: int) -> None:
    """A pipe with a buffer for several frames, so that the writer does not wait for the reader."""
    if sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, _SET_PIPE_SIZE, _PIPE_BYTES)
