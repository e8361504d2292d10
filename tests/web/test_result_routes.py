"""Pages of results over HTTP: what is there, what has expired, and what never was."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from starlette.testclient import TestClient

from deepclarity.web.inference import Inference
from deepclarity.web.limits import Limits
from deepclarity.web.model_cache import ModelCache
from deepclarity.web.result_routes import add_result_routes
from deepclarity.web.storage.results import ResultStore


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path / "store", retention_s=600)


@pytest.fixture
def web(store: ResultStore) -> httpx.Client:
    router, app = APIRouter(), FastAPI()
    add_result_routes(router, Inference(Limits(), store, ModelCache(device="cpu")))
    app.include_router(router)
    return TestClient(app)


def test_a_link_lives_as_long_as_the_files(store: ResultStore, web: httpx.Client) -> None:
    picture = store.new_path("<b>.png")
    picture.write_bytes(b"x")
    link = store.link(picture)
    assert web.get(link).status_code == 404  # nothing to show yet
    store.save_page(picture, "<p>Repaired</p>")
    page = web.get(link)
    assert (page.status_code, page.headers["cache-control"]) == (200, "private, no-store")
    assert "<p>Repaired</p>" in page.text
    assert "are deleted in 10 minutes" in page.text
    assert web.get(store.url(picture)).content == b"x"
    for path in picture.parent.iterdir():
        os.utime(path, (1, 1))
    store.sweep()
    for gone in (link, store.url(picture), f"{link}/0", f"{link}/deepclarity.zip"):
        answer = web.get(gone)
        assert answer.status_code == 410
        assert "This result has been deleted" in answer.text


@pytest.mark.parametrize(
    "path", ["x", "x" * 32, "..%2F..%2Fetc", "x/0", "x/deepclarity.zip", "x/y.png", f"{'x' * 32}/0"]
)
def test_what_never_was_is_not_found(web: httpx.Client, path: str) -> None:
    answer = web.get(f"/results/{path}")
    assert answer.status_code == 404
    assert "no such result" in answer.text or "Not Found" in answer.text
