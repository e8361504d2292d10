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
    """A child process could not be started, has ended, or has stopped reading its messages."""


class Subprocess:
    """A child process that runs a module within a `with` block.

    It runs in its own session, so that Ctrl-C reaches only the parent, which then stops the child cleanly.
    """

    def __init__(self, module: str) -> None:
        """Start `python -m module`; raises SubprocessLostError if the system cannot start a process."""
        if sys.platform == "win32":
            raise UsageError("live streams need Linux or macOS: Windows cannot wait for several pipes at once.")
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
            raise SubprocessLostError("it has stopped reading its messages") from error
        except (OSError, ValueError) as error:
            raise SubprocessLostError("it has ended") from error

    def __enter__(self) -> Subprocess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close_stdin(self) -> None:
        """Close its standard input, which signals it to end."""
        with contextlib.suppress(OSError):
            self._stdin.close()

    def finish(self, *, timeout_s: float = _STOP_TIMEOUT_S) -> None:
        """Close its standard input, wait up to `timeout_s` for it to end, then kill it."""
        self.close_stdin()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        self.close()

    def close(self) -> None:
        """Kill it if it is still running, and close its pipes."""
        if self._process.poll() is None:
            self._process.kill()  # it has no state worth saving
        with contextlib.suppress(subprocess.TimeoutExpired):  # a driver may block it in the kernel
            self._process.wait(_STOP_TIMEOUT_S)
        for pipe in (self._stdin, self._stdout):
            with contextlib.suppress(OSError):
                pipe.close()


def ignore_signals() -> None:
    """Called in the child: ignore signals, because the parent stops the child cleanly."""
    for name in ("SIGINT", "SIGHUP", "SIGTERM"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def arm_watchdog(seconds: float) -> None:
    """Called in the child: terminate it unless this is called again within `seconds`; 0 disarms the watchdog.

    The kernel's timer works even while a library call blocks the interpreter. Windows has no such timer: there, only
    the parent can terminate the child.
    """
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _widen(descriptor: int) -> None:
    """Enlarge a pipe's buffer to several frames, so that the writer does not wait for the reader."""
    if sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, _SET_PIPE_SIZE, _PIPE_BYTES)
