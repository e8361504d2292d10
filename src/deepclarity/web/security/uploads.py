"""Validation of request bodies: size, transfer rate, multipart form fields, and the file paths in JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping
from typing import Any

from starlette.types import Message, Receive, Scope

from deepclarity.web.errors import RequestRejectedError
from deepclarity.web.limits import MEBI, Limits
from deepclarity.web.storage.results import ResultStore

from .multipart import UploadParser

_ENVELOPE_BYTES = 64 * 1024
"""Bytes that an upload may have in addition to its file."""
_DRAIN_S = 2.0
_BODY_HEADERS = (b"content-length", b"content-type", b"transfer-encoding")


class UploadReader:
    """Reads and validates the body of one request before Gradio does."""

    def __init__(
        self, scope: Scope, headers: Mapping[str, str], receive: Receive, *, limits: Limits, store: ResultStore
    ) -> None:
        self.rejection: RequestRejectedError | None = None
        self._scope, self._headers, self._receive_raw = scope, headers, receive
        self._limits, self._store = limits, store
        path, self._is_read_only = scope["path"].rstrip("/"), scope["method"] in ("GET", "HEAD")
        self._is_upload = path == "/gradio_api/upload" and not self._is_read_only
        self._is_login = path == "/login"
        self._max_bytes = limits.upload_bytes + _ENVELOPE_BYTES if self._is_upload else limits.body_bytes
        self._parser: UploadParser | None = None
        self._received_bytes, self._waited_s, self._more_body = 0, 0.0, True

    @property
    def required_bytes(self) -> int:
        """Disk space to reserve for the request: its declared size, or the largest that is allowed."""
        if not self._is_upload:
            return 0
        declared = self._headers.get("content-length", "")
        return min(self._max_bytes, int(declared)) if declared.isdecimal() else self._max_bytes

    async def open(self) -> Receive:
        """The validating `receive` channel for the application, which gets JSON sanitized.

        RequestRejectedError when the headers or a JSON body show that the request must be rejected.
        """
        declared = self._headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self._max_bytes:
            raise RequestRejectedError(413, self._too_large())
        if self._is_read_only:
            return self._receive_raw
        if self._is_upload:
            self._parser = UploadParser(self._headers.get("content-type", ""), max_field_bytes=_ENVELOPE_BYTES)
        elif not self._is_login:
            return await self._open_json()
        return self._receive

    async def drain(self) -> None:
        """Discard the rest of the body for up to 2 s, so that the client reads the answer instead of a reset."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                while self._more_body:
                    message = await self._receive_raw()
                    self._more_body = message["type"] == "http.request" and message.get("more_body", False)

    async def _receive(self) -> Message:
        """The next message; a rejected request is reported to Gradio as a disconnected client."""
        try:
            return await self._next_message()
        except RequestRejectedError as rejection:
            self.rejection = rejection
            return {"type": "http.disconnect"}

    async def _next_message(self) -> Message:
        if not self._more_body:
            return await self._receive_raw()
        message = await self._receive_in_time()
        self._more_body = message["type"] == "http.request" and message.get("more_body", False)
        chunk = message.get("body", b"")
        self._received_bytes += len(chunk)
        if self._received_bytes > self._max_bytes:
            raise RequestRejectedError(413, self._too_large())
        if self._parser is not None:
            self._parser.feed(chunk)
        return message

    async def _receive_in_time(self) -> Message:
        """The next message; RequestRejectedError (408) if the client is too slow. Only time spent waiting counts."""
        limits, start = self._limits, time.monotonic()
        allowed_s = limits.upload_grace_s + self._received_bytes / limits.upload_bytes_per_s - self._waited_s
        pending = asyncio.ensure_future(self._receive_raw())
        try:
            await asyncio.wait([pending], timeout=min(max(0.0, allowed_s), limits.upload_stall_s))
            for _ in range(3):  # the message may have arrived while other tasks kept the event loop busy
                if not pending.done():
                    await asyncio.sleep(0)
            self._waited_s += time.monotonic() - start
            if not pending.done():
                raise RequestRejectedError(408, "The upload was too slow. Try again on a faster connection.")
            return pending.result()
        finally:
            pending.cancel()

    async def _open_json(self) -> Receive:
        """Read the complete JSON body, sanitize it, and return a channel that replays it.

        File paths must be in our own store, and URLs are dropped: no request can make the server fetch anything.
        A body without the JSON content type is rejected, because other parsers would guess its format.
        """
        if self._headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise RequestRejectedError(415, "Only JSON is accepted here.")
        body = bytearray()
        while self._more_body:
            message = await self._next_message()
            if message["type"] != "http.request":
                break
            body += message.get("body", b"")
        try:
            sanitized = json.dumps(self._sanitize(json.loads(body))).encode()
        except (ValueError, RecursionError):
            raise RequestRejectedError(400, "This request is malformed.") from None
        kept = [(name, value) for name, value in self._scope["headers"] if name.lower() not in _BODY_HEADERS]
        replaced = [(b"content-type", b"application/json"), (b"content-length", str(len(sanitized)).encode())]
        self._scope["headers"] = [*kept, *replaced]
        messages: list[Message] = [{"type": "http.request", "body": sanitized, "more_body": False}]

        async def replay() -> Message:
            return messages.pop() if messages else await self._receive_raw()

        return replay

    def _sanitize(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._sanitize(item) for item in value]
        if not isinstance(value, dict):
            return value
        path = value.get("path")
        if path is not None and not (isinstance(path, str) and self._store.contains(path)):
            raise RequestRejectedError(400, "Only files that were uploaded here can be used.")
        return {key: self._sanitize(item) for key, item in value.items() if key != "url"}

    def _too_large(self) -> str:
        if self._is_upload:
            return f"This file is too large: at most {self._limits.upload_bytes // MEBI} MB are allowed."
        return "This request is too large."
