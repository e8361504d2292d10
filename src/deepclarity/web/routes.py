"""Routes in addition to Gradio's: style sheet, scripts, examples, results, and the live WebSocket."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, WebSocket
from fastapi.responses import FileResponse, PlainTextResponse, Response

from .errors import RefusedError
from .examples import Examples
from .inference import Inference
from .live_socket import LiveEndpoint
from .result_routes import add_result_routes
from .theme import colours_css

_SCRIPTS = ("compare.js", "inbox.js", "live.js")
_STATIC_FILES = {"app.css": "text/css", **dict.fromkeys(_SCRIPTS, "text/javascript")}


def build_router(inference: Inference, examples: Examples, live_endpoint: LiveEndpoint | None) -> APIRouter:
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

    add_result_routes(router, inference)

    if live_endpoint is not None:

        @router.websocket("/live")
        async def live(socket: WebSocket) -> None:
            await live_endpoint.serve(socket)

    return router


def _not_found() -> Response:
    return PlainTextResponse("Not found. Uploads and results are deleted after a while.", 404)
