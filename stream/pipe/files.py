"""File objects on standard input and output for FFmpeg: not seekable, and never blocking an interruption."""

from __future__ import annotations

import contextlib
import os
import select
import sys

from deepclarity.errors import UsageError
from deepclarity.stream.interrupts import Wait, WaitEndedError

_STDIN, _STDOUT, _STDERR = 0, 1, 2


class PipeReader:
    """Standard input, as a file object that FFmpeg reads; `interrupt` ends a read that waits for data."""

    def __init__(self) -> None:
        """Raises UsageError if standard input is closed or a terminal."""
        try:
            if os.isatty(_STDIN):
                raise UsageError("standard input is a terminal. Send a video through a pipe: … | deepclarity upscale -")
            os.fstat(_STDIN)
        except OSError as error:
            raise UsageError("standard input is closed. Send a video through a pipe.") from error
        self.name = "standard input"
        self.failure: BaseException | None = None
        """What ended a read: PyAV hands on no interruption."""
        self.wait = Wait()
        self._wake_read, self._wake_write = os.pipe()

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; empty at the end and after `interrupt`."""
        try:
            self.wait.active = True
            if self.wait.caught:
                raise WaitEndedError
            if sys.platform != "win32":  # where only sockets can be waited for
                ready, _, _ = select.select([_STDIN, self._wake_read], [], [])
                if self._wake_read in ready:
                    return b""
            return os.read(_STDIN, size)
        except BaseException as error:
            self.failure = error
            return b""
        finally:
            self.wait.active = False

    def interrupt(self) -> None:
        """End the read that is waiting, and every later one; may be called from another thread."""
        with contextlib.suppress(OSError):
            os.write(self._wake_write, b"x")

    def check(self) -> None:
        """Raise what ended a read, if anything did but the end of the data."""
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Release the descriptors; standard input itself stays open."""
        for descriptor in (self._wake_read, self._wake_write):
            with contextlib.suppress(OSError):
                os.close(descriptor)


class PipeWriter:
    """Standard output, as a file object that FFmpeg writes.

    What other code prints to standard output goes to standard error until `close`: it must not get between the data.
    """

    def __init__(self) -> None:
        """Raises UsageError if standard output is closed or a terminal."""
        try:
            if os.isatty(_STDOUT):
                raise UsageError(
                    "standard output is a terminal. Send it to a program or a file, or name a file with -o."
                )
            self._output = os.dup(_STDOUT)
            os.dup2(_STDERR, _STDOUT)
        except OSError as error:
            raise UsageError("standard output is closed. Send it to a program, or name a file with -o.") from error
        self.name = "standard output"
        self.failure: BaseException | None = None
        """What ended a write: PyAV hands on no interruption."""
        self.wait = Wait()
        self.discard = False
        """Whether to write nothing more: after a failure, no end of a file may follow."""

    def write(self, data: bytes) -> int:
        """Write all of `data`; waits for the reader."""
        if self.discard:
            return len(data)
        remaining = memoryview(data)
        try:
            self.wait.active = True
            if self.wait.caught:
                raise WaitEndedError
            while remaining:
                remaining = remaining[os.write(self._output, remaining) :]
        except BaseException as error:
            self.failure, self.discard = error, True
        finally:
            self.wait.active = False
        return len(data)

    def check(self) -> None:
        """Raise what ended a write, such as BrokenPipeError."""
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Give standard output back."""
        with contextlib.suppress(OSError):
            os.dup2(self._output, _STDOUT)
            os.close(self._output)
