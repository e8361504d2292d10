"""Inter-process messages over pipes between the pipeline and its reader and writer processes.

Whatever can block forever (a demuxer whose camera died, a muxer whose server stopped reading) runs in a child process
that can be terminated. Its instructions, passwords included, arrive through standard input, so that none of them
appear on a command line.

A message is a line of JSON, followed by as many bytes as the line states.
"""

from __future__ import annotations

import json
import os
import select
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

_LONGEST_LINE = 1 << 20
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Message:
    """One message."""

    kind: str
    """Message type: `opened`, `packet`, `failed`, …"""
    fields: dict[str, Any] = field(default_factory=dict)
    """JSON fields."""
    data: bytes = b""
    """Binary payload: an encoded packet, a container header."""

    def serialized(self) -> bytes:
        """The message as sent through a pipe."""
        head = {"kind": self.kind, "bytes": len(self.data), **self.fields}
        return json.dumps(head).encode() + b"\n" + self.data


class Inbox:
    """Receives messages from a pipe, with a timeout."""

    def __init__(self, descriptor: int) -> None:
        """`descriptor`: read end of a pipe; the caller remains responsible for closing it."""
        self.ended = False
        """Whether the other side has closed the pipe."""
        self.descriptor = descriptor
        self._buffer = bytearray()

    def receive(self, timeout_s: float | None = None) -> Message | None:
        """The next message; None after the timeout, or if the pipe is closed (`ended`)."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while (message := self._intact()) is None:
            if self.ended or not self._readable(deadline):
                return None
            chunk = os.read(self.descriptor, _CHUNK)
            self.ended = not chunk
            self._buffer += chunk
        return message

    def _readable(self, deadline: float | None) -> bool:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        return bool(select.select([self.descriptor], [], [], left)[0])

    def _intact(self) -> Message | None:
        line = self._buffer.find(b"\n", 0, _LONGEST_LINE)
        if line < 0:
            return None
        head = json.loads(self._buffer[:line])
        last = line + 1 + head.pop("bytes")
        if len(self._buffer) < last:
            return None
        data = bytes(self._buffer[line + 1 : last])
        del self._buffer[:last]
        return Message(head.pop("kind"), head, data)


def wait_any(inboxes: Iterable[Inbox], timeout_s: float) -> None:
    """Block until one of `inboxes` may have a message, at most `timeout_s` seconds."""
    select.select([inbox.descriptor for inbox in inboxes], [], [], timeout_s)


def send(descriptor: int, message: Message, *, timeout_s: float | None = None) -> None:
    """Write a message to a pipe.

    Raises BrokenPipeError if the reader is gone, TimeoutError if it did not read for `timeout_s` seconds: the message
    may then be incomplete, and the pipe cannot be used any more.
    """
    left = memoryview(message.serialized())
    while left:
        if not select.select([], [descriptor], [], timeout_s)[1]:
            raise TimeoutError("the receiver does not read")
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            continue
