"""What a request carries: how much, how fast, and which files and addresses it speaks of."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping
from typing import Any

from starlette.types import Message, Receive, Scope

from deepclarity.web.storage.results import ResultStore

from .limits import MEBI, Limits
from .multipart import UploadParser
from .rejection import RequestRejectedError

_ENVELOPE = 64 * 1024
"""Bytes that an upload may have beside its file."""
_DRAIN_S = 2.0
_OF_BODY = (b"content-length", b"content-type", b"transfer-encoding")


class UploadReader:
    """The body of one request, on its way to Gradio."""

    def __init__(
        self, scope: Scope, headers: Mapping[str, str], receive: Receive, *, limits: Limits, store: ResultStore
    ) -> None:
        self.cut: RequestRejectedError | None = None
        self._scope, self._headers, self._raw = scope, headers, receive
        self._limits, self._store = limits, store
        path, self._reads = scope["path"].rstrip("/"), scope["method"] in ("GET", "HEAD")
        self._upload = path == "/gradio_api/upload" and not self._reads
        self._form = path == "/login"
        self._most = limits.upload_bytes + _ENVELOPE if self._upload else limits.body_bytes
        self._parts: UploadParser | None = None
        self._got, self._waited_s, self._more = 0, 0.0, True

    @property
    def promised_bytes(self) -> int:
        """Room on the disk that it may need."""
        if not self._upload:
            return 0
        declared = self._headers.get("content-length", "")
        return min(self._most, int(declared)) if declared.isdecimal() else self._most

    async def opened(self) -> Receive:
        """The channel to read from, JSON cleaned; CutError where it is clear at once that it is refused."""
        declared = self._headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self._most:
            raise RequestRejectedError(413, self._too_large())
        if self._reads:
            return self._raw
        if self._upload:
            self._parts = UploadParser(self._headers.get("content-type", ""), most=_ENVELOPE)
        elif not self._form:
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
        except RequestRejectedError as cut:
            self.cut = cut
            return {"type": "http.disconnect"}

    async def _next(self) -> Message:
        if not self._more:
            return await self._raw()
        message = await self._in_time()
        self._more = message["type"] == "http.request" and message.get("more_body", False)
        piece = message.get("body", b"")
        self._got += len(piece)
        if self._got > self._most:
            raise RequestRejectedError(413, self._too_large())
        if self._parts is not None:
            self._parts.take(piece)
        return message

    async def _in_time(self) -> Message:
        """What comes next, if its sender is not too slow: only time that was waited for it counts."""
        limits, began = self._limits, time.monotonic()
        left_s = limits.upload_grace_s + self._got / limits.upload_bytes_per_s - self._waited_s
        coming = asyncio.ensure_future(self._raw())
        try:
            await asyncio.wait([coming], timeout=min(max(0.0, left_s), limits.upload_stall_s))
            for _ in range(3):  # it may have come while others kept the loop busy
                if not coming.done():
                    await asyncio.sleep(0)
            self._waited_s += time.monotonic() - began
            if not coming.done():
                raise RequestRejectedError(
                    408, "The upload was too slow and was given up. Try again on a faster connection."
                )
            return coming.result()
        finally:
            coming.cancel()

    async def _cleaned(self) -> Receive:
        """Read the whole of it; files must be ours, addresses are dropped: nobody makes us fetch anything.

        Whatever is no JSON by its one content type is refused, as others would guess what it is.
        """
        if self._headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise RequestRejectedError(415, "Only JSON is taken here.")
        whole = bytearray()
        while self._more:
            message = await self._next()
            if message["type"] != "http.request":
                break
            whole += message.get("body", b"")
        try:
            clean = json.dumps(self._clean(json.loads(whole))).encode()
        except (ValueError, RecursionError):
            raise RequestRejectedError(400, "This request cannot be understood.") from None
        others = [(key, text) for key, text in self._scope["headers"] if key.lower() not in _OF_BODY]
        own = [(b"content-type", b"application/json"), (b"content-length", str(len(clean)).encode())]
        self._scope["headers"] = [*others, *own]
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
        if path is not None and not (isinstance(path, str) and self._store.holds(path)):
            raise RequestRejectedError(400, "Only files that were uploaded here can be used.")
        return {key: self._clean(item) for key, item in value.items() if key != "url"}

    def _too_large(self) -> str:
        if self._upload:
            return f"This file is too large: at most {self._limits.upload_bytes // MEBI} MB are taken."
        return "This request is too large."
