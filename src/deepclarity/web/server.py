"""Serving the app: who may reach it, under which names, and what is cleaned up when it ends."""

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

from .security.limits import Limits
from .security.middleware import RequestMiddleware
from .storage.results import ResultStore

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Settings:
    """How the app is served."""

    host: str = "127.0.0.1"
    port: int = 7860
    auth: tuple[str, str] | None = None
    """User and password; without, everybody who reaches the port may use it."""
    only: str | None = None
    """`detect` or `correct`: that page alone."""
    tier: str | None = None
    device: str = "auto"
    limits: Limits = field(default_factory=Limits)

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        with contextlib.suppress(ValueError):
            return ip_address(self.host).is_loopback
        return self.host in _LOOPBACK

    def knows(self, name: str) -> bool:
        """Whether a request for host `name` is meant for us, and not led here by a name that somebody made up."""
        if self.auth is not None or name in {*_LOOPBACK, self.host.lower()}:
            return True  # whoever signs in does so under the name that they know
        if self.local:
            return False
        with contextlib.suppress(ValueError):
            return bool(ip_address(name))
        return name in own_names()


@cache
def own_names() -> frozenset[str]:
    """What this machine calls itself. Asked once, before anybody comes: the answer can take seconds."""
    return frozenset({sockets.gethostname().lower(), sockets.getfqdn().lower()})


def make_app(settings: Settings, store: ResultStore) -> RequestMiddleware:
    """The whole server as one ASGI application. Gradio is imported here: it reads its environment when it is."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # or it calls home
    os.environ["GRADIO_TEMP_DIR"] = str(store.folder)
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import gradio as gr

    from .app import HEAD, build
    from .examples import Examples
    from .inference import Inference
    from .jobs import Videos
    from .live_socket import Seats
    from .model_cache import ModelCache
    from .routes import own_routes
    from .theme import theme

    if not settings.local and settings.auth is None:
        own_names()
    limits, models = settings.limits, ModelCache(device=settings.device)
    videos = Videos(store, limits, device=settings.device)
    examples = Examples(store.folder / "examples")
    seats = Seats(limits, device=settings.device, tier=settings.tier or "turbo")
    blocks = build(Inference(limits, store, models), videos, examples, only=settings.only, tier=settings.tier)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        examples.begin()
        beside = [asyncio.ensure_future(work) for work in (store.sweep_for_ever(), asyncio.to_thread(models.warm))]
        yield
        for work in beside:
            work.cancel()
        videos.stop_all()
        models.close()

    outer = FastAPI(lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    outer.include_router(own_routes(store, examples, seats if settings.only is None else None))
    gr.mount_gradio_app(
        outer, blocks, path="/", auth=settings.auth, auth_message="DeepClarity", show_error=False,
        run_history=False, footer_links=["api"], max_file_size=limits.upload_bytes, theme=theme(), head=HEAD,
        ssr_mode=False, mcp_server=False, pwa=False, enable_monitoring=False,
    )  # fmt: skip
    return RequestMiddleware(outer, limits, store, settings.knows, _who(outer, auth=settings.auth is not None))


def _who(outer: FastAPI, *, auth: bool) -> Callable[[Mapping[str, str]], bool]:
    """Whether a request's cookies are those of somebody who signed in by Gradio's page."""
    if not auth:
        return lambda headers: True
    inner: Any = outer.routes[-1].app  # type: ignore[attr-defined]
    names = f"access-token-{inner.cookie_id}", f"access-token-unsecure-{inner.cookie_id}"

    def signed_in(headers: Mapping[str, str]) -> bool:
        cookies = cookie_parser(headers.get("cookie", ""))
        return any(cookies.get(name) in inner.tokens for name in names)

    return signed_in


def listen(host: str, port: int) -> sockets.socket:
    """A socket that listens; UsageError where that cannot be."""
    with contextlib.ExitStack() as opened:
        try:
            family, kind, number, _, address = sockets.getaddrinfo(host, port, type=sockets.SOCK_STREAM)[0]
            listening = opened.enter_context(sockets.socket(family, kind, number))
            listening.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(128)
        except OSError as error:
            reason = f"{host}:{port}: cannot listen there ({error.strerror})."
            raise UsageError(f"{reason} Choose another --port, or --host.") from error
        opened.pop_all()
    return listening


def serve(settings: Settings, *, ready: Callable[[str], None] = lambda address: None) -> None:
    """Serve until interrupted; `ready` is told the address. All files are deleted at the end."""
    with contextlib.closing(listen(settings.host, settings.port)) as listening:
        port = listening.getsockname()[1]
        store = ResultStore(Path(tempfile.mkdtemp(prefix="deepclarity-web-")), keep_s=settings.limits.keep_s)
        # connections that are still open at the end are cut, of which uvicorn makes tracebacks
        level = "error" if logging.getLogger("deepclarity").isEnabledFor(logging.DEBUG) else "critical"
        try:
            server = _Server(
                uvicorn.Config(
                    make_app(settings, store), log_level=level, access_log=False,
                    ws_max_size=settings.limits.live_bytes, ws_max_queue=4, ws_per_message_deflate=False,
                    limit_concurrency=256, timeout_keep_alive=15, timeout_graceful_shutdown=2,
                    server_header=False, lifespan="on", ws="websockets-sansio" if _sansio() else "websockets",
                )
            )  # fmt: skip
            shown = f"[{settings.host}]" if ":" in settings.host else settings.host
            server.told = lambda: ready(f"http://{shown}:{port}")
            server.run(sockets=[listening])
        finally:
            store.clear()


def _sansio() -> bool:
    return "websockets-sansio" in uvicorn.config.WS_PROTOCOLS


class _Server(uvicorn.Server):
    """Says when it listens."""

    told: Callable[[], None]

    async def startup(self, sockets: list[sockets.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.told()
