"""Routes in addition to Gradio's: style sheet, scripts, examples, results, and the live WebSocket."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, WebSocket
from fastapi.responses import FileResponse, PlainTextResponse, Response

from .errors import RefusedError
from .examples import Examples
from .live_socket import LiveEndpoint
from .storage.results import ResultStore
from .theme import colours_css

_STATIC_FILES = {"app.css": "text/css", "compare.js": "text/javascript", "live.js": "text/javascript"}
_MEDIA_TYPES = {".html": "text/html", ".mp4": "video/mp4", ".mkv": "video/x-matroska", ".png": "image/png"}
_SANDBOX = (
    "sandbox allow-scripts; default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "frame-ancestors 'self'"
)
"""Content security policy of reports: they run a script and show file names chosen by the client."""


def build_router(store: ResultStore, examples: Examples, live_endpoint: LiveEndpoint | None) -> APIRouter:
    """Create the routes; without `live_endpoint` there is no live WebSocket."""
    router = APIRouter()

    @router.get("/own/{name}")
    def static_file(name: str) -> Response:
        if name not in _STATIC_FILES:
            return _not_found()
        content = (files("deepclarity.web") / "static" / name).read_text("utf-8")
        content = colours_css() + content if name.endswith(".css") else content
        return Response(content, media_type=_STATIC_FILES[name], headers={"cache-control": "no-cache"})

    @router.get("/examples/{name}")
    async def example(name: str) -> Response:
        try:
            return FileResponse(await examples.find(name), headers={"cache-control": "max-age=300"})
        except RefusedError:
            return _not_found()

    @router.get("/results/{token}/{name}")
    def result(token: str, name: str) -> Response:
        path = store.find(token, name)
        media_type = _MEDIA_TYPES.get(path.suffix.lower()) if path else None
        if path is None or media_type is None:
            return _not_found()
        headers = {"cache-control": "private, max-age=600"}
        if media_type == "text/html":
            headers["content-security-policy"] = _SANDBOX
        return FileResponse(path, media_type=media_type, headers=headers)

    if live_endpoint is not None:

        @router.websocket("/live")
        async def live(socket: WebSocket) -> None:
            await live_endpoint.serve(socket)

    return router


def _not_found() -> Response:
    return PlainTextResponse("Not found. Uploads and results are deleted after a while.", 404)
