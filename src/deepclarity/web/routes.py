"""Our own addresses beside Gradio's: looks, examples, results, and the camera's WebSocket."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, WebSocket
from fastapi.responses import FileResponse, PlainTextResponse, Response

from .examples import Examples
from .live_socket import Seats
from .messages import RefusedError
from .storage.results import ResultStore
from .theme import colours_css

_OWN = {"app.css": "text/css", "compare.js": "text/javascript", "live.js": "text/javascript"}
_TYPES = {".html": "text/html", ".mp4": "video/mp4", ".mkv": "video/x-matroska", ".png": "image/png"}
_SANDBOX = (
    "sandbox allow-scripts; default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "frame-ancestors 'self'"
)
"""A report has a script of its own, and file names in it that somebody else chose: it may reach nothing."""


def own_routes(store: ResultStore, examples: Examples, seats: Seats | None) -> APIRouter:
    """The addresses; without `seats` no camera is watched."""
    router = APIRouter()

    @router.get("/own/{name}")
    def own(name: str) -> Response:
        if name not in _OWN:
            return _nothing()
        content = (files("deepclarity.web") / "static" / name).read_text("utf-8")
        content = colours_css() + content if name.endswith(".css") else content
        return Response(content, media_type=_OWN[name], headers={"cache-control": "no-cache"})

    @router.get("/examples/{name}")
    async def example(name: str) -> Response:
        try:
            return FileResponse(await examples.find(name), headers={"cache-control": "max-age=300"})
        except RefusedError:
            return _nothing()

    @router.get("/results/{token}/{name}")
    def result(token: str, name: str) -> Response:
        path = store.find(token, name)
        kind = _TYPES.get(path.suffix.lower()) if path else None
        if path is None or kind is None:
            return _nothing()
        headers = {"cache-control": "private, max-age=600"}
        if kind == "text/html":
            headers["content-security-policy"] = _SANDBOX
        return FileResponse(path, media_type=kind, headers=headers)

    if seats is not None:

        @router.websocket("/live")
        async def live(socket: WebSocket) -> None:
            await seats.serve(socket)

    return router


def _nothing() -> Response:
    return PlainTextResponse("There is nothing here any more.", 404)
