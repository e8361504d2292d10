"""Inter-process messages over pipes between the pipeline and its reader and writer processes.

Whatever can block for ever (a demuxer whose camera died, a muxer whose server stopped reading) lives in a process
of its own, which can be ended. What it is to do, passwords too, arrives through its standard input: nothing of it
can be read off its command line.

A message is a JSON line and the bytes that the line announces.
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
    """One thing said."""

    kind: str
    """What it is about: `opened`, `packet`, `failed`, …"""
    fields: dict[str, Any] = field(default_factory=dict)
    """Its particulars, whatever JSON can hold."""
    data: bytes = b""
    """What JSON cannot: a coded picture, the head of a container."""

    def packed(self) -> bytes:
        """The message as it travels."""
        head = {"kind": self.kind, "bytes": len(self.data), **self.fields}
        return json.dumps(head).encode() + b"\n" + self.data


class Inbox:
    """Messages out of a pipe, waited for no longer than asked."""

    def __init__(self, descriptor: int) -> None:
        """`descriptor`: the end of a pipe to read from. It stays the caller's to close."""
        self.ended = False
        """Whether the other side has closed its end."""
        self.descriptor = descriptor
        self._held = bytearray()

    def take(self, timeout_s: float | None = None) -> Message | None:
        """The next message; None when none came in time, or none will come any more (`ended`)."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while (message := self._intact()) is None:
            if self.ended or not self._readable(deadline):
                return None
            chunk = os.read(self.descriptor, _CHUNK)
            self.ended = not chunk
            self._held += chunk
        return message

    def _readable(self, deadline: float | None) -> bool:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        return bool(select.select([self.descriptor], [], [], left)[0])

    def _intact(self) -> Message | None:
        line = self._held.find(b"\n", 0, _LONGEST_LINE)
        if line < 0:
            return None
        head = json.loads(self._held[:line])
        last = line + 1 + head.pop("bytes")
        if len(self._held) < last:
            return None
        data = bytes(self._held[line + 1 : last])
        del self._held[:last]
        return Message(head.pop("kind"), head, data)


def ready(inboxes: Iterable[Inbox], timeout_s: float) -> None:
    """Return when one of `inboxes` may have something to say, at the latest after `timeout_s`."""
    select.select([inbox.descriptor for inbox in inboxes], [], [], timeout_s)


def send(descriptor: int, message: Message, *, timeout_s: float | None = None) -> None:
    """Write a message into a pipe.

    Raises BrokenPipeError when nobody reads it any more, TimeoutError when nobody did for `timeout_s`: then a part
    of the message may be in the pipe, and nothing more can be said through it.
    """
    left = memoryview(message.packed())
    while left:
        if not select.select([], [descriptor], [], timeout_s)[1]:
            raise TimeoutError("nobody takes what is sent")
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            continue
