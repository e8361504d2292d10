"""Routes of results: their pages, their files, and archives of several."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse, Response, StreamingResponse

from .inference import Inference
from .pages.gallery import ARCHIVE_NAME, GalleryPages
from .pages.result_page import message_page, result_page
from .several.collection import ITEMS_FILE, Collection, result_files
from .storage.archive import zip_stream
from .storage.results import ResultStore

_MEDIA_TYPES = {
    ".html": "text/html",
    ".jpg": "image/jpeg",
    ".mkv": "video/x-matroska",
    ".mp4": "video/mp4",
    ".png": "image/png",
}
_PRIVATE = {"cache-control": "private, no-store"}
_SANDBOX = (
    "sandbox allow-scripts; default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "frame-ancestors 'self'"
)
"""Content security policy of reports: they run a script and show file names chosen by the client."""


def add_result_routes(router: APIRouter, inference: Inference) -> None:
    """Add the routes below `/results/`; what is gone is answered with a page in plain words."""
    store, pages = inference.store, GalleryPages(inference)

    @router.get("/results/{token}")
    def result(token: str) -> Response:
        found = store.page(token)
        if found is None:
            return _gone(store, token)
        return HTMLResponse(result_page(found[0], title="Result", remaining_s=found[1]), headers=_PRIVATE)

    def opened(token: str, number: str, *, part: bool) -> Response:
        """The page of one of several pictures, or only its content."""
        folder, found = store.folder_of(token), store.page(token)
        shown = pages.opened(folder, int(number)) if folder and found and len(number) <= 4 else None
        if found is None or shown is None:
            return _gone(store, token)
        title, content = shown
        page = result_page(content, title=title, remaining_s=found[1], back=f"/results/{token}")
        return HTMLResponse(content if part else page, headers=_PRIVATE)

    @router.get(f"/results/{{token}}/{ARCHIVE_NAME}")
    def archive(token: str) -> Response:
        folder = store.folder_of(token)
        collection = Collection.load(folder) if folder else None
        if collection is None:
            return _gone(store, token)
        headers = {"content-disposition": f"attachment; filename={ARCHIVE_NAME}", **_PRIVATE}
        return StreamingResponse(_archive(store, collection), media_type="application/zip", headers=headers)

    @router.get("/results/{token}/{name}")
    def file(token: str, name: str, part: str = "") -> Response:
        if re.fullmatch("[0-9]+", name):
            return opened(token, name, part=bool(part))
        return _file(store, token, name)


def _file(store: ResultStore, token: str, name: str) -> Response:
    """A file of a result, by its type: no other files are sent."""
    path = store.find(token, name)
    media_type = _MEDIA_TYPES.get(path.suffix.lower()) if path else None
    if path is None or media_type is None:
        return _gone(store, token)
    headers = {"cache-control": "private, max-age=600"}
    if media_type == "text/html":
        headers["content-security-policy"] = _SANDBOX
    return FileResponse(path, media_type=media_type, headers=headers)


def _archive(store: ResultStore, collection: Collection) -> Iterator[bytes]:
    """The ZIP archive of several pictures, whose files are kept until all of it is sent."""
    with store.hold(collection.folder / ITEMS_FILE):
        records = json.dumps([item.as_json() for item in collection.items], indent=1, ensure_ascii=False)
        yield from zip_stream(result_files(collection), texts=[("results.json", records)])


def _gone(store: ResultStore, token: str) -> Response:
    """A page for a result that is not there: 410 if it was, else 404."""
    if store.has_expired(token):
        text = "Results are deleted some time after they were made, and this one has been. Repair the file again."
        return HTMLResponse(message_page("This result has been deleted", text), 410, headers=_PRIVATE)
    text = "Check the address. It may also be that the server was started anew, which deletes all results."
    return HTMLResponse(message_page("There is no such result", text), 404, headers=_PRIVATE)
