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

_PATIENCE_S = 2.0
_PIPE_BYTES = 1 << 20
_SET_PIPE_SIZE = 1031  # Linux's F_SETPIPE_SZ


class SubprocessLostError(RuntimeError):
    """A process of ours has ended, or does not listen."""


class Subprocess:
    """A child process that runs a module and ends with the `with` block.

    It runs in a process group of its own: Ctrl-C reaches only the parent, which ends the child in good order.
    """

    def __init__(self, module: str) -> None:
        """Start `python -m module`; SubprocessLostError where the system starts no more processes."""
        if sys.platform == "win32":
            raise UsageError("live streams are for Linux and macOS: Windows cannot wait for several pipes at once.")
        try:
            self._start(module)
        except OSError as error:
            raise SubprocessLostError(f"no process can be started ({error.strerror})") from error

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

    def send(self, message: ipc.Message, *, timeout_s: float = _PATIENCE_S) -> None:
        """Say something to it; SubprocessLostError when it has ended, or has not listened for `timeout_s`."""
        try:
            ipc.send(self._stdin.fileno(), message, timeout_s=timeout_s)
        except TimeoutError as error:
            raise SubprocessLostError("it does not listen any more") from error
        except (OSError, ValueError) as error:
            raise SubprocessLostError("it has died") from error

    def __enter__(self) -> Subprocess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close_stdin(self) -> None:
        """Close its input: it is to end by itself."""
        with contextlib.suppress(OSError):
            self._stdin.close()

    def finish(self, *, patience_s: float = _PATIENCE_S) -> None:
        """Dismiss it and let it end by itself for a while, then see to it."""
        self.close_stdin()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_s)
        self.close()

    def close(self) -> None:
        """End it now."""
        if self._process.poll() is None:
            self._process.kill()  # it holds nothing that a gentler end would save
        with contextlib.suppress(subprocess.TimeoutExpired):  # a driver may hold it in the kernel
            self._process.wait(_PATIENCE_S)
        for pipe in (self._stdin, self._stdout):
            with contextlib.suppress(OSError):
                pipe.close()


def ignore_signals() -> None:
    """For the child itself: signals meant for all of us are the parent's affair, who ends us in good order."""
    for name in ("SIGINT", "SIGHUP", "SIGTERM"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def arm_watchdog(seconds: float) -> None:
    """For the child itself: end at once unless this is called again within `seconds`; 0 calls it off.

    The kernel does it, even while a library call holds the interpreter. Windows has no such thing: there only the
    parent sees to it.
    """
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _widen(descriptor: int) -> None:
    """A pipe that holds some frames: whoever writes need not wait for whoever reads."""
    if sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, _SET_PIPE_SIZE, _PIPE_BYTES)
