"""Who comes in: every request passes here before Gradio sees it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deepclarity.web.storage.disk_quota import DiskQuota
from deepclarity.web.storage.results import ResultStore

from .limits import Limits
from .rate_limit import RateLimiter
from .rejection import RequestRejectedError
from .uploads import UploadReader

_VISITED = ("/", "/login", "/login/")
"""What a link on another site's page may lead to."""
_PAGES = (*_VISITED, "/logout")
_OPEN = ("/assets/", "/static/", "/svelte/", "/own/", "/theme.css", "/favicon.ico", "/config", "/manifest.json",
         "/robots.txt", "/gradio_api/user", "/gradio_api/token", "/gradio_api/login_check", "/gradio_api/app_id",
         "/gradio_api/startup-events", "/gradio_api/theme.css")  # fmt: skip
"""What the sign-in page needs."""
_SERVED = ("/live", "/results/", "/examples/", "/gradio_api/info", "/gradio_api/openapi.json", "/gradio_api/upload",
           "/gradio_api/queue/join", "/gradio_api/queue/data", "/gradio_api/call/", "/gradio_api/run/predict",
           "/gradio_api/file=", "/gradio_api/heartbeat/", "/gradio_api/reset", "/gradio_api/cancel")  # fmt: skip
"""All else of what is served. Gradio knows more: proxies, recordings, editors. They stay shut."""

_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; frame-src 'self'; frame-ancestors 'self'; base-uri 'self'; form-action 'self'"
)
_HEADERS = {
    b"content-security-policy": _POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"permissions-policy": b"camera=(self), microphone=(), geolocation=()",
}
_ONCE = frozenset({"host", "origin", "content-type", "content-length"})
"""Headers that nobody repeats but to be understood in two ways."""


@dataclass(slots=True)
class RequestMiddleware:
    """Middleware: host, origin, address, sign-in, size, pace and content of every request."""

    app: ASGIApp
    limits: Limits
    store: ResultStore
    knows: Callable[[str], bool]
    """Whether the server answers to a host name: another's name that leads here is no way in."""
    signed_in: Callable[[Mapping[str, str]], bool]
    """Whether the headers of a request belong to somebody who may come in."""
    _rate_limiter: RateLimiter = field(default_factory=RateLimiter)
    _quota: DiskQuota = field(init=False)

    def __post_init__(self) -> None:
        """Nobody has come in yet."""
        self._quota = DiskQuota(self.limits, self.store)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer why not."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        refusal = _twice(scope) or self._stranger(scope, headers) or self._shut(scope, headers)
        if scope["type"] == "websocket":
            if refusal is not None:
                await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
                return
            await self.app(scope, receive, send)
            return
        if refusal is None and _signs_in(scope) and not self._rate_limiter.begin(_address_of(scope)):
            refusal = 429, "Too many attempts. Wait a minute."
        body = UploadReader(scope, headers, receive, limits=self.limits, store=self.store)
        answer = _Answer(send, body)
        if refusal is not None:
            await answer.refuse(*refusal)
            return
        await self._pass(scope, body, answer)
        if _signs_in(scope) and answer.status == 200:
            self._rate_limiter.forgive(_address_of(scope))

    async def _pass(self, scope: Scope, body: UploadReader, answer: _Answer) -> None:
        try:
            async with self._quota.kept(body.promised_bytes):
                await self.app(scope, await body.opened(), answer.send)
        except RequestRejectedError as cut:
            body.cut = cut
        except Exception:
            if body.cut is None:  # else it is how Gradio takes it that its request was cut
                raise
        if body.cut is not None:
            await answer.refuse(body.cut.status, body.cut.words)
            await body.drained()

    def _stranger(self, scope: Scope, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """Why somebody who comes by another site's page, or by another name of ours, is turned away."""
        host = headers.get("host", "")
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return 400, "This request cannot be understood."
        if not self.knows(name):
            return 403, "This server is not known by that name."
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        if origin is not None and not _is_of(origin, host):
            return 403, "Requests from other sites are refused."
        reads = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        visits = reads and scope["path"] in _VISITED and headers.get("sec-fetch-mode") == "navigate"
        if site in ("cross-site", "same-site") and not visits:
            return 403, "Requests from other sites are refused."
        return None

    def _shut(self, scope: Scope, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """Why an address is not served, or not to this visitor."""
        path = scope["path"]
        anybody = path in _PAGES or path.startswith(_OPEN)
        if (not anybody and not path.startswith(_SERVED)) or (scope["type"] == "websocket" and path != "/live"):
            return 404, "There is nothing here."
        if not anybody and not self.signed_in(headers):
            return 401, "Sign in first."
        if path.startswith("/gradio_api/file=") and not self.store.holds(path.partition("=")[2]):
            return 403, "Only files that were uploaded here can be read."
        return None


def _twice(scope: Scope) -> tuple[int, str] | None:
    """Why a request that says a thing two times is turned away."""
    told = Counter(key.decode("latin-1").lower() for key, _ in scope["headers"])
    if any(told[name] > 1 for name in _ONCE):
        return 400, "This request cannot be understood."
    return None


def _is_of(origin: str, host: str) -> bool:
    """Whether a page came from this server."""
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


def _signs_in(scope: Scope) -> bool:
    return bool(scope["path"].startswith("/login") and scope["method"] == "POST")


def _address_of(scope: Scope) -> str:
    return str((scope.get("client") or ("",))[0])


class _Answer:
    """What goes back, with our headers on it; once a request is cut, nothing but the refusal."""

    def __init__(self, send: Send, body: UploadReader) -> None:
        self._send, self._body = send, body
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if self._body.cut is None:
            await self._pass(message)

    async def _pass(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = {key.lower() for key, _ in message.get("headers", [])}
            extra: list[tuple[bytes, bytes]] = [(key, text) for key, text in _HEADERS.items() if key not in given]
            if message["status"] == 503:
                extra.append((b"retry-after", b"5"))
            message = {**message, "headers": [*message.get("headers", []), *extra]}
        await self._send(message)

    async def refuse(self, status: int, words: str) -> None:
        """Answer in words, unless an answer has begun already."""
        if self.status is not None:
            return
        content: dict[str, Any] = {"detail": words, "error": words}
        response = JSONResponse(content, status_code=status, headers={"connection": "close"})
        await response({"type": "http"}, _nothing, self._pass)


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
