"""What a request carries: how much, how fast, and which files and addresses it speaks of."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.types import Message, Receive, Scope

from .limits import MEBI, Limits
from .shelf import Shelf

_ENVELOPE = 64 * 1024
"""Bytes that an upload may have beside its file."""
_DRAIN_S = 2.0
_FREE_BYTES = 512 * MEBI


@dataclass
class CutError(Exception):
    """A request that goes no further, and what its sender is told."""

    status: int
    words: str


class Body:
    """The body of one request, on its way to Gradio."""

    def __init__(
        self, scope: Scope, headers: Mapping[str, str], receive: Receive, *, limits: Limits, shelf: Shelf
    ) -> None:
        self.cut: CutError | None = None
        self._scope, self._headers, self._raw = scope, headers, receive
        self._limits, self._shelf = limits, shelf
        self._upload = scope["path"].startswith("/gradio_api/upload")
        self._most = limits.upload_bytes + _ENVELOPE if self._upload else limits.body_bytes
        self._got, self._began, self._more = 0, time.monotonic(), True

    async def opened(self) -> Receive:
        """The channel to read from, JSON cleaned; CutError where it is clear at once that it is refused."""
        declared = self._headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self._most:
            raise CutError(413, self._too_large())
        if self._upload:
            await self._check_room()
        if self._scope["method"] == "POST" and self._headers.get("content-type", "").startswith("application/json"):
            return await self._cleaned()
        return self._receive

    async def drained(self) -> None:
        """Take and forget what is still coming, for a moment, so that the answer is read and not lost in a reset."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                while self._more:
                    message = await self._raw()
                    self._more = message["type"] == "http.request" and message.get("more_body", False)

    async def _receive(self) -> Message:
        """The next piece; to Gradio, a request that is cut looks as if its sender had gone."""
        try:
            return await self._next()
        except CutError as cut:
            self.cut = cut
            return {"type": "http.disconnect"}

    async def _next(self) -> Message:
        if not self._more:
            return await self._raw()
        limits = self._limits
        late_s = self._began + limits.upload_grace_s + self._got / limits.upload_bytes_per_s - time.monotonic()
        try:
            message = await asyncio.wait_for(self._raw(), timeout=min(max(0.0, late_s), limits.upload_stall_s))
        except TimeoutError:
            raise CutError(408, "The upload was too slow and was given up. Try again on a faster connection.") from None
        self._more = message["type"] == "http.request" and message.get("more_body", False)
        self._got += len(message.get("body", b""))
        if self._got > self._most:
            raise CutError(413, self._too_large())
        return message

    async def _cleaned(self) -> Receive:
        """Read the whole of it; files must be ours, addresses are dropped: nobody makes us fetch anything."""
        whole = bytearray()
        while self._more:
            message = await self._next()
            if message["type"] != "http.request":
                break
            whole += message.get("body", b"")
        try:
            clean = json.dumps(self._clean(json.loads(whole))).encode()
        except (ValueError, RecursionError):
            raise CutError(400, "This request cannot be understood.") from None
        others = [(key, text) for key, text in self._scope["headers"] if key.lower() != b"content-length"]
        self._scope["headers"] = [*others, (b"content-length", str(len(clean)).encode())]
        waiting: list[Message] = [{"type": "http.request", "body": clean, "more_body": False}]

        async def replay() -> Message:
            return waiting.pop() if waiting else await self._raw()

        return replay

    def _clean(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._clean(item) for item in value]
        if not isinstance(value, dict):
            return value
        path = value.get("path")
        if path is not None and not (isinstance(path, str) and self._shelf.holds(path)):
            raise CutError(400, "Only files that were uploaded here can be used.")
        return {key: self._clean(item) for key, item in value.items() if key != "url"}

    async def _check_room(self) -> None:
        free = shutil.disk_usage(self._shelf.folder).free
        taken = await asyncio.to_thread(self._shelf.size_bytes)
        if taken > self._limits.disk_bytes or free < _FREE_BYTES + self._limits.upload_bytes:
            raise CutError(507, "The server has no room for more files now. Try again later.")

    def _too_large(self) -> str:
        if self._upload:
            return f"This file is too large: at most {self._limits.upload_bytes // MEBI} MB are taken."
        return "This request is too large."
