"""The web server: settings, app assembly, listening socket, and cleanup at shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket as sockets
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.requests import cookie_parser

from deepclarity.errors import UsageError

from .limits import Limits
from .model_cache import Tiers
from .security.middleware import RequestMiddleware
from .storage.results import ResultStore

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the web server."""

    host: str = "127.0.0.1"
    port: int = 7860
    auth: tuple[str, str] | None = None
    """User and password; without them, everybody who can reach the port may use the app."""
    only: str | None = None
    """`detect` or `correct`: serve this page only."""
    tier: str | None = None
    """The tier that is selected at first; None: the default of each page."""
    device: str = "auto"
    tiers: Tiers = field(default_factory=Tiers)
    """The tiers that users may choose."""
    limits: Limits = field(default_factory=Limits)

    @property
    def loopback_only(self) -> bool:
        """Whether only this machine can reach the server."""
        with contextlib.suppress(ValueError):
            return ip_address(self.host).is_loopback
        return self.host in _LOOPBACK_NAMES

    def accepts_host(self, name: str) -> bool:
        """Whether `name` is a host name of this server; others may be DNS rebinding attacks."""
        if self.auth is not None or name in {*_LOOPBACK_NAMES, self.host.lower()}:
            return True  # with a password, the server may be known by any name
        if self.loopback_only:
            return False
        with contextlib.suppress(ValueError):
            return bool(ip_address(name))
        return name in own_host_names()


@cache
def own_host_names() -> frozenset[str]:
    """The host names of this machine. Cached, and first called at start, because the lookup can take seconds."""
    return frozenset({sockets.gethostname().lower(), sockets.getfqdn().lower()})


def make_app(settings: Settings, store: ResultStore) -> RequestMiddleware:
    """Build the complete ASGI application. Gradio is imported here because it reads its environment on import."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # otherwise Gradio sends usage statistics
    os.environ["GRADIO_TEMP_DIR"] = str(store.folder)
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import gradio as gr

    from .app import HEAD, build
    from .examples import Examples
    from .inference import Inference
    from .jobs import VideoQueue
    from .live_socket import LiveEndpoint
    from .model_cache import ModelCache
    from .routes import build_router
    from .several.collection import Collections
    from .theme import theme

    if not settings.loopback_only and settings.auth is None:
        own_host_names()
    limits, models = settings.limits, ModelCache(device=settings.device, tiers=settings.tiers)
    videos = VideoQueue(store, limits, device=settings.device, tiers=settings.tiers)
    examples = Examples(store.folder / "examples")
    live_endpoint = LiveEndpoint(limits, device=settings.device, tier=settings.tier or "turbo", tiers=settings.tiers)
    inference = Inference(limits, store, models)
    collections = Collections(inference)
    blocks = build(inference, collections, videos, examples, only=settings.only, tier=settings.tier)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        examples.start()
        tasks = [asyncio.ensure_future(task) for task in (store.run_sweeper(), asyncio.to_thread(models.warm_up))]
        yield
        for task in tasks:
            task.cancel()
        videos.cancel_all()
        collections.cancel_all()
        models.close()

    # RequestMiddleware enforces `upload_bytes` and words the refusal; Gradio's own limit must never be reached first.
    gradio_limit = 2 * limits.upload_bytes
    outer = FastAPI(lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    outer.include_router(build_router(inference, examples, live_endpoint if settings.only is None else None))
    gr.mount_gradio_app(
        outer, blocks, path="/", auth=settings.auth, auth_message="DeepClarity", show_error=False,
        run_history=False, footer_links=["api"], max_file_size=gradio_limit, theme=theme(), head=HEAD,
        ssr_mode=False, mcp_server=False, pwa=False, enable_monitoring=False,
    )  # fmt: skip
    return RequestMiddleware(
        outer, limits, store, settings.accepts_host, _sign_in_check(outer, auth=settings.auth is not None)
    )


def _sign_in_check(outer: FastAPI, *, auth: bool) -> Callable[[Mapping[str, str]], bool]:
    """A function that checks request headers for the session cookie of Gradio's sign-in page."""
    if not auth:
        return lambda headers: True
    gradio_app: Any = outer.routes[-1].app  # type: ignore[attr-defined]
    names = f"access-token-{gradio_app.cookie_id}", f"access-token-unsecure-{gradio_app.cookie_id}"

    def signed_in(headers: Mapping[str, str]) -> bool:
        cookies = cookie_parser(headers.get("cookie", ""))
        return any(cookies.get(name) in gradio_app.tokens for name in names)

    return signed_in


def listen(host: str, port: int) -> sockets.socket:
    """Open a listening socket; UsageError if that is impossible."""
    with contextlib.ExitStack() as stack:
        try:
            family, kind, protocol, _, address = sockets.getaddrinfo(host, port, type=sockets.SOCK_STREAM)[0]
            listening = stack.enter_context(sockets.socket(family, kind, protocol))
            listening.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(128)
        except OSError as error:
            reason = f"{host}:{port}: cannot listen there ({error.strerror})."
            raise UsageError(f"{reason} Choose another --port or --host.") from error
        stack.pop_all()
    return listening


def serve(settings: Settings, *, ready: Callable[[str], None] = lambda url: None) -> None:
    """Serve until interrupted; `ready` is called with the URL. All files are deleted at the end."""
    with contextlib.closing(listen(settings.host, settings.port)) as listening:
        port = listening.getsockname()[1]
        store = ResultStore(Path(tempfile.mkdtemp(prefix="deepclarity-web-")), retention_s=settings.limits.retention_s)
        # open connections are closed at shutdown, for which uvicorn would log tracebacks
        level = "error" if logging.getLogger("deepclarity").isEnabledFor(logging.DEBUG) else "critical"
        try:
            server = _Server(
                uvicorn.Config(
                    make_app(settings, store), log_level=level, access_log=False,
                    ws_max_size=settings.limits.live_bytes, ws_max_queue=4, ws_per_message_deflate=False,
                    limit_concurrency=256, timeout_keep_alive=15, timeout_graceful_shutdown=2,
                    server_header=False, lifespan="on", ws="websockets-sansio" if _has_sansio() else "websockets",
                )
            )  # fmt: skip
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            server.on_started = lambda: ready(f"http://{host}:{port}")
            server.run(sockets=[listening])
        finally:
            store.clear()


def _has_sansio() -> bool:
    """Whether this uvicorn offers the newer WebSocket implementation."""
    return "websockets-sansio" in uvicorn.config.WS_PROTOCOLS


class _Server(uvicorn.Server):
    """A uvicorn server that calls `on_started` when it listens."""

    on_started: Callable[[], None]

    async def startup(self, sockets: list[sockets.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.on_started()
