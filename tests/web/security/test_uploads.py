"""Body validation of the middleware, tested with a stub application that records what it receives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from deepclarity.web.limits import Limits
from deepclarity.web.security.middleware import RequestMiddleware
from deepclarity.web.security.rate_limit import RateLimiter
from deepclarity.web.storage.results import ResultStore

Headers = list[tuple[bytes, bytes]]
JSON: Headers = [(b"content-type", b"application/json")]
FORM: Headers = [(b"content-type", b"multipart/form-data; boundary=b")]
UPLOAD = "/gradio_api/upload"


@dataclass
class StubApp:
    """An application that records every request body and answers 200, and the middleware in front of it."""

    store: ResultStore
    limits: Limits = field(default_factory=Limits)
    bodies: list[bytes] = field(default_factory=list)
    status: int = 200
    busy_s: float = 0.0
    """Delay before it reads the request."""
    waits_for_disconnect: bool = False
    """Whether it listens for a disconnect while it answers, as Starlette does."""

    def __post_init__(self) -> None:
        self.middleware = RequestMiddleware(self.app, self.limits, self.store, lambda name: True, lambda headers: True)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(self.busy_s)
        body, more = b"", scope["method"] == "POST"
        while more:
            message = await receive()
            if message["type"] != "http.request":
                raise ConnectionError("Gradio raises this when its client has disconnected")
            body, more = body + message["body"], message["more_body"]
        self.bodies.append(body)
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        if self.waits_for_disconnect:
            disconnect = asyncio.ensure_future(receive())
            await asyncio.wait([disconnect], timeout=0.3)
            if disconnect.cancel() is False:
                return
        await send({"type": "http.response.body", "body": b"complete"})

    async def request(
        self, path: str, headers: Headers, chunks: Iterator[bytes], *, method: str = "POST", pace_s: float = 0.0
    ) -> tuple[int, bytes]:
        """Send a request through the middleware, one chunk every `pace_s`; status and body of the response."""
        messages: list[Message] = []

        async def receive() -> Message:
            await asyncio.sleep(pace_s)
            chunk = next(chunks, None)
            if chunk is None:
                await asyncio.sleep(10)
            return {"type": "http.request", "body": chunk, "more_body": chunk != b""}

        async def send(message: Message) -> None:
            messages.append(message)

        scope = {"type": "http", "method": method, "path": path, "headers": [(b"host", b"here"), *headers]}
        await self.middleware(scope, receive, send)
        return messages[0]["status"], b"".join(message.get("body", b"") for message in messages)


@pytest.fixture
def app(tmp_path: Path) -> StubApp:
    return StubApp(ResultStore(tmp_path, retention_s=60))


def status_of(app: StubApp, path: str, headers: Headers, *chunks: bytes, **options: Any) -> int:
    """The response status of a request with this body."""
    return asyncio.run(app.request(path, headers, iter([*chunks, b""]), **options))[0]


@pytest.mark.parametrize(
    ("kinds", "status"),
    [
        (["application/json"], 200),
        (["Application/JSON; charset=utf-8"], 200),
        (["application/x+json"], 415),
        (["text/plain"], 415),
        ([], 415),
        (["text/plain", "application/json"], 400),
        (["application/json", "application/json"], 400),
    ],
)
def test_json_is_sanitized_and_other_content_types_are_rejected(app: StubApp, kinds: list[str], status: int) -> None:
    foreign = {"data": [{"path": "http://192.0.2.1/x", "meta": {"_type": "gradio.FileData"}}]}
    ours = {"data": [{"path": str(app.store.folder / "x.png"), "url": "http://192.0.2.1/x", "size": 3}]}
    headers = [(b"content-type", kind.encode()) for kind in kinds]
    for path in ("/gradio_api/queue/join", "/gradio_api/call/detect", "/gradio_api/run/predict"):
        assert status_of(app, path, headers, json.dumps(foreign).encode()) == (400 if status == 200 else status)
        assert status_of(app, path, headers, json.dumps(ours).encode()) == status
    del ours["data"][0]["url"]
    assert [json.loads(body) for body in app.bodies] == ([ours] * 3 if status == 200 else [])


@pytest.mark.parametrize("name", [b"host", b"origin", b"content-length"])
def test_duplicate_header_returns_400(app: StubApp, name: bytes) -> None:
    assert status_of(app, "/gradio_api/queue/join", [*JSON, (name, b"2"), (name, b"2")], b"{}") == 400


@pytest.mark.parametrize(("name", "text"), [(b"host", b"[::1"), (b"origin", b"http://["), (b"origin", b"http://[::1")])
def test_malformed_host_or_origin_is_rejected(app: StubApp, name: bytes, text: bytes) -> None:
    headers = [(key, value) for key, value in ((b"host", b"here"), *JSON) if key != name]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [*headers, (name, text)]}
    responses: list[Message] = []

    async def send(message: Message) -> None:
        responses.append(message)

    asyncio.run(app.middleware(scope, None, send))  # type: ignore[arg-type]
    assert responses[0]["status"] == (400 if name == b"host" else 403)


def part(disposition: str, size: int) -> list[bytes]:
    """One part of a multipart form, in chunks."""
    head = f"--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode()
    return [head, *([bytes(1 << 20)] * (size >> 20)), bytes(size % (1 << 20)), b"\r\n"]


def test_large_form_fields_are_rejected_but_large_files_are_accepted(app: StubApp) -> None:
    file, text, small = 'name="files"; filename="x.png"', 'name="files"', 'name="note"'
    assert status_of(app, UPLOAD, FORM, *part(file, 20 << 20), *part(small, 1000), b"--b--") == 200
    assert status_of(app, UPLOAD, FORM, *part(text, 20 << 20), b"--b--") == 413
    assert status_of(app, UPLOAD, FORM, *[chunk for _ in range(80) for chunk in part(small, 1000)], b"--b--") == 413
    assert status_of(app, UPLOAD, FORM, b"no form at all") == 400
    assert status_of(app, UPLOAD, JSON, b"{}") == 415
    assert len(app.bodies) == 1


def test_late_response_is_complete(tmp_path: Path) -> None:
    limits = Limits(upload_grace_s=0.1, upload_stall_s=0.1)
    app = StubApp(ResultStore(tmp_path, retention_s=60), limits, busy_s=0.3, waits_for_disconnect=True)
    response = asyncio.run(app.request("/", [], iter(()), method="GET"))
    assert response == (200, b"complete")


def test_upload_timeout_counts_only_time_spent_waiting_for_the_client(tmp_path: Path) -> None:
    limits = Limits(upload_grace_s=0.2, upload_bytes_per_s=1000)
    busy = StubApp(ResultStore(tmp_path, retention_s=60), limits, busy_s=0.5)
    form = part('name="files"; filename="x"', 10)
    assert status_of(busy, UPLOAD, FORM, *form) == 200
    assert status_of(busy, UPLOAD, FORM, *form, pace_s=0.15) == 408


def test_disk_space_is_reserved_before_uploads_arrive(tmp_path: Path) -> None:
    limits = Limits(upload_bytes=1000, disk_bytes=250_000, max_concurrent_uploads=3)
    app = StubApp(ResultStore(tmp_path, retention_s=60), limits, busy_s=0.1)

    async def upload(count: int, *extra_headers: tuple[bytes, bytes]) -> list[int]:
        form = part('name="files"; filename="x"', 10)
        requests = (app.request(UPLOAD, [*FORM, *extra_headers], iter([*form, b""])) for _ in range(count))
        return sorted(status for status, _ in await asyncio.gather(*requests))

    assert asyncio.run(upload(5)) == [200, 200, 200, 503, 503]
    limits = Limits(upload_bytes=1000, disk_bytes=150_000, max_concurrent_uploads=9)
    app = StubApp(ResultStore(tmp_path, retention_s=60), limits, busy_s=0.1)
    assert 507 in asyncio.run(upload(5))  # without a declared size, the largest allowed size is reserved
    assert asyncio.run(upload(5, (b"content-length", b"100"))) == [200] * 5
    assert asyncio.run(upload(1)) == [200]


def test_rate_limiter_allows_ten_failures_a_minute_and_ignores_successes() -> None:
    limiter = RateLimiter()
    for _ in range(50):
        assert limiter.try_acquire("here")
        limiter.release("here")
    assert [limiter.try_acquire("there") for _ in range(12)] == [True] * 10 + [False] * 2
    for number in range(10_010):
        limiter.try_acquire(str(number))
    assert len(limiter._failed) == 10_000
