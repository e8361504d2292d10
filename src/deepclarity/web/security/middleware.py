"""ASGI middleware that authenticates and validates every request before Gradio handles it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deepclarity.web.errors import RequestRejectedError
from deepclarity.web.limits import Limits
from deepclarity.web.storage.disk_quota import DiskQuota
from deepclarity.web.storage.results import ResultStore

from .rate_limit import RateLimiter
from .uploads import UploadReader

_NAVIGABLE_PATHS = ("/", "/login", "/login/")
"""Pages that a link on another site may open."""
_RESULT_PAGE = re.compile(r"/results/[\w-]{32}(/\d+)?")
"""The page of a result: its link may be in a message on another site."""
_PAGE_PATHS = (*_NAVIGABLE_PATHS, "/logout")
_PUBLIC_PREFIXES = (
    "/assets/", "/static/", "/svelte/", "/own/", "/theme.css", "/favicon.ico", "/config", "/manifest.json",
    "/robots.txt", "/gradio_api/user", "/gradio_api/token", "/gradio_api/login_check", "/gradio_api/app_id",
    "/gradio_api/startup-events", "/gradio_api/theme.css",
)  # fmt: skip
"""What the sign-in page needs."""
_PROTECTED_PREFIXES = (
    "/live", "/results/", "/examples/", "/gradio_api/info", "/gradio_api/openapi.json", "/gradio_api/upload",
    "/gradio_api/queue/join", "/gradio_api/queue/data", "/gradio_api/call/", "/gradio_api/run/predict",
    "/gradio_api/file=", "/gradio_api/heartbeat/", "/gradio_api/reset", "/gradio_api/cancel",
)  # fmt: skip
"""What is served after sign-in. Gradio's other routes (proxies, recordings, editors) stay closed."""

_CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; frame-src 'self'; frame-ancestors 'self'; base-uri 'self'; form-action 'self'"
)
_SECURITY_HEADERS = {
    b"content-security-policy": _CONTENT_SECURITY_POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"permissions-policy": b"camera=(self), microphone=(), geolocation=()",
}
_UNIQUE_HEADERS = frozenset({"host", "origin", "content-type", "content-length"})
"""Headers that must not be repeated: two parsers could read such a request in two ways."""

_Rejection = tuple[int, str]
"""HTTP status and message."""


_MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""Errors with which Gradio meets a body that is not what it expects."""


@dataclass(slots=True)
class RequestMiddleware:
    """Checks host, origin, path, sign-in, size, transfer rate and content of every request."""

    app: ASGIApp
    limits: Limits
    store: ResultStore
    accepts_host: Callable[[str], bool]
    """Whether a host name is the server's own (protects against DNS rebinding)."""
    signed_in: Callable[[Mapping[str, str]], bool]
    """Whether the headers of a request belong to a signed-in user."""
    _rate_limiter: RateLimiter = field(default_factory=RateLimiter)
    _quota: DiskQuota = field(init=False)

    def __post_init__(self) -> None:
        """Create the disk quota."""
        self._quota = DiskQuota(self.limits, self.store)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request to the application, or answer with the reason why it is rejected."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        rejection = (
            _check_duplicate_headers(scope) or self._check_origin(scope, headers) or self._check_access(scope, headers)
        )
        if scope["type"] == "websocket":
            if rejection is not None:
                await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
                return
            await self.app(scope, receive, send)
            return
        if rejection is None and _is_login(scope) and not self._rate_limiter.try_acquire(_client_address(scope)):
            rejection = 429, "Too many sign-in attempts. Wait a minute."
        body = UploadReader(scope, headers, receive, limits=self.limits, store=self.store)
        response = _Response(send, body)
        if rejection is not None:
            await response.reject(*rejection)
            return
        await self._forward(scope, body, response)
        if _is_login(scope) and response.status == 200:
            self._rate_limiter.release(_client_address(scope))

    async def _forward(self, scope: Scope, body: UploadReader, response: _Response) -> None:
        try:
            async with self._quota.reserve(body.required_bytes):
                await self.app(scope, await body.open(), response.send)
        except RequestRejectedError as rejection:
            body.rejection = rejection
        except Exception as error:
            if body.rejection is None and response.failed and isinstance(error, _MALFORMED):
                body.rejection = RequestRejectedError(400, "This request is malformed.")
            elif body.rejection is None:  # otherwise it is Gradio's reaction to the simulated disconnect
                await response.reject(500, "The server could not answer this request. Try again.")
                raise
        if body.rejection is not None:
            await response.reject(body.rejection.status, body.rejection.message)
            await body.drain()

    def _check_origin(self, scope: Scope, headers: Mapping[str, str]) -> _Rejection | None:
        """Reject requests from another site's page, and requests for a host name that is not ours."""
        host = headers.get("host", "")
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return 400, "This request is malformed."
        if not self.accepts_host(name):
            return 403, "This server does not accept requests for that host name."
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        if origin is not None and not _is_same_origin(origin, host):
            return 403, "Requests from other sites are refused."
        is_read_only = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        is_page = scope["path"] in _NAVIGABLE_PATHS or _RESULT_PAGE.fullmatch(scope["path"]) is not None
        is_navigation = is_read_only and is_page and headers.get("sec-fetch-mode") == "navigate"
        if site in ("cross-site", "same-site") and not is_navigation:
            return 403, "Requests from other sites are refused."
        return None

    def _check_access(self, scope: Scope, headers: Mapping[str, str]) -> _Rejection | None:
        """Reject unknown paths, requests without sign-in, and files outside our store."""
        path = scope["path"]
        is_public = path in _PAGE_PATHS or path.startswith(_PUBLIC_PREFIXES)
        is_served = is_public or path.startswith(_PROTECTED_PREFIXES)
        if not is_served or (scope["type"] == "websocket" and path != "/live"):
            return 404, "Not found."
        if not is_public and not self.signed_in(headers):
            return 401, "Sign in first."
        if path.startswith("/gradio_api/file=") and not self.store.contains(path.partition("=")[2]):
            return 403, "Only files that were uploaded here can be read."
        return None


def _check_duplicate_headers(scope: Scope) -> _Rejection | None:
    """Reject requests that repeat a header that must be unique."""
    counts = Counter(key.decode("latin-1").lower() for key, _ in scope["headers"])
    if any(counts[name] > 1 for name in _UNIQUE_HEADERS):
        return 400, "This request is malformed."
    return None


def _is_same_origin(origin: str, host: str) -> bool:
    """Whether a page came from this server."""
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


def _is_login(scope: Scope) -> bool:
    return bool(scope["path"].startswith("/login") and scope["method"] == "POST")


def _client_address(scope: Scope) -> str:
    return str((scope.get("client") or ("",))[0])


class _Response:
    """Sends the response with our security headers; once a request is rejected, only the rejection is sent."""

    def __init__(self, send: Send, body: UploadReader) -> None:
        self._send, self._body = send, body
        self.status: int | None = None
        self.failed = False
        """Whether the application answered with status 500, which is not sent: it comes without words."""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 500:
            self.failed = True
        if self._body.rejection is None and not self.failed:
            await self._send_with_headers(message)

    async def _send_with_headers(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            present = {key.lower() for key, _ in message.get("headers", [])}
            extra: list[tuple[bytes, bytes]] = [
                (name, value) for name, value in _SECURITY_HEADERS.items() if name not in present
            ]
            if message["status"] == 503:
                extra.append((b"retry-after", b"5"))
            message = {**message, "headers": [*message.get("headers", []), *extra]}
        await self._send(message)

    async def reject(self, status: int, reason: str) -> None:
        """Answer with a message, unless a response has already started."""
        if self.status is not None:
            return
        content: dict[str, Any] = {"detail": reason, "error": reason}
        response = JSONResponse(content, status_code=status, headers={"connection": "close"})
        await response({"type": "http"}, _receive_nothing, self._send_with_headers)


async def _receive_nothing() -> Message:
    return {"type": "http.disconnect"}
