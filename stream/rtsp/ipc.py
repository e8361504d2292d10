"""Inter-process messages over pipes between the pipeline and its reader and writer processes.

I/O that can block forever (a demuxer whose camera died, a muxer whose server stopped reading) runs in a child process
that can be terminated. The child receives its parameters, passwords included, on standard input, so that they do not
appear on its command line.

A message is a line of JSON, followed by binary data; the line states its size.
"""

from __future__ import annotations

import json
import os
import select
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

_MAX_LINE_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Message:
    """A message between processes."""

    kind: str
    """Message type: `opened`, `packet`, `failed`, …"""
    fields: dict[str, Any] = field(default_factory=dict)
    """JSON fields."""
    data: bytes = b""
    """Binary payload: an encoded packet, a container header."""

    def serialized(self) -> bytes:
        """The bytes sent through the pipe."""
        head = {"kind": self.kind, "bytes": len(self.data), **self.fields}
        return json.dumps(head).encode() + b"\n" + self.data


class Inbox:
    """Receives messages from a pipe, with a timeout."""

    def __init__(self, descriptor: int) -> None:
        """`descriptor`: read end of a pipe; the caller closes it."""
        self.ended = False
        """Whether the other side has closed the pipe."""
        self.descriptor = descriptor
        self._buffer = bytearray()

    def receive(self, timeout_s: float | None = None) -> Message | None:
        """Wait for the next message; None after the timeout, or if the pipe is closed (`ended`)."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while (message := self._parse()) is None:
            if self.ended or not self._readable(deadline):
                return None
            chunk = os.read(self.descriptor, _CHUNK_BYTES)
            self.ended = not chunk
            self._buffer += chunk
        return message

    def _readable(self, deadline: float | None) -> bool:
        remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
        return bool(select.select([self.descriptor], [], [], remaining)[0])

    def _parse(self) -> Message | None:
        line = self._buffer.find(b"\n", 0, _MAX_LINE_BYTES)
        if line < 0:
            return None
        head = json.loads(self._buffer[:line])
        end = line + 1 + head.pop("bytes")
        if len(self._buffer) < end:
            return None
        data = bytes(self._buffer[line + 1 : end])
        del self._buffer[:end]
        return Message(head.pop("kind"), head, data)


def wait_any(inboxes: Iterable[Inbox], timeout_s: float) -> None:
    """Block until one of `inboxes` has data, for at most `timeout_s` seconds."""
    select.select([inbox.descriptor for inbox in inboxes], [], [], timeout_s)


def send(descriptor: int, message: Message, *, timeout_s: float | None = None) -> None:
    """Write a message to a pipe.

    Raises BrokenPipeError if the receiver has ended, and TimeoutError if it did not read for `timeout_s` seconds. After
    a timeout the message may be incomplete, so the pipe must not be used again.
    """
    remaining = memoryview(message.serialized())
    while remaining:
        if not select.select([], [descriptor], [], timeout_s)[1]:
            raise TimeoutError("the receiver has stopped reading")
        try:
            remaining = remaining[os.write(descriptor, remaining) :]
        except BlockingIOError:
            continue
