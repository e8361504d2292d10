"""What comes in with a request, seen from behind the door by an application that only takes notes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from deepclarity.web.security.limits import Limits
from deepclarity.web.security.middleware import RequestMiddleware
from deepclarity.web.security.rate_limit import RateLimiter
from deepclarity.web.storage.results import ResultStore

Headers = list[tuple[bytes, bytes]]
JSON: Headers = [(b"content-type", b"application/json")]
FORM: Headers = [(b"content-type", b"multipart/form-data; boundary=b")]
UPLOAD = "/gradio_api/upload"


@dataclass
class Inside:
    """Behind a door: reads whatever comes, answers 200."""

    store: ResultStore
    limits: Limits = field(default_factory=Limits)
    bodies: list[bytes] = field(default_factory=list)
    status: int = 200
    busy_s: float = 0.0
    """How long it takes before it reads."""
    hears_of_leaving: bool = False
    """Whether it asks, once it has answered, if its client is still there, as Starlette does."""

    def __post_init__(self) -> None:
        self.door = RequestMiddleware(self.app, self.limits, self.store, lambda name: True, lambda headers: True)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(self.busy_s)
        whole, more = b"", scope["method"] == "POST"
        while more:
            message = await receive()
            if message["type"] != "http.request":
                raise ConnectionError("what Gradio does when its client is gone")
            whole, more = whole + message["body"], message["more_body"]
        self.bodies.append(whole)
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        if self.hears_of_leaving:
            leaving = asyncio.ensure_future(receive())
            await asyncio.wait([leaving], timeout=0.3)
            if leaving.cancel() is False:
                return
        await send({"type": "http.response.body", "body": b"all of it"})

    async def ask(
        self, path: str, headers: Headers, pieces: Iterator[bytes], *, method: str = "POST", pace_s: float = 0.0
    ) -> tuple[int, bytes]:
        """Status and body of the answer."""
        answers: list[Message] = []

        async def receive() -> Message:
            await asyncio.sleep(pace_s)
            piece = next(pieces, None)
            if piece is None:
                await asyncio.sleep(10)
            return {"type": "http.request", "body": piece, "more_body": piece != b""}

        async def send(message: Message) -> None:
            answers.append(message)

        scope = {"type": "http", "method": method, "path": path, "headers": [(b"host", b"here"), *headers]}
        await self.door(scope, receive, send)
        return answers[0]["status"], b"".join(message.get("body", b"") for message in answers)


@pytest.fixture
def inside(tmp_path: Path) -> Inside:
    return Inside(ResultStore(tmp_path, keep_s=60))


def sent(inside: Inside, path: str, headers: Headers, *pieces: bytes, **more: Any) -> int:
    """The status that a request with this body is answered with."""
    return asyncio.run(inside.ask(path, headers, iter([*pieces, b""]), **more))[0]


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
def test_no_content_type_leads_past_the_cleaning(inside: Inside, kinds: list[str], status: int) -> None:
    foreign = {"data": [{"path": "http://192.0.2.1/x", "meta": {"_type": "gradio.FileData"}}]}
    ours = {"data": [{"path": str(inside.store.folder / "x.png"), "url": "http://192.0.2.1/x", "size": 3}]}
    headers = [(b"content-type", kind.encode()) for kind in kinds]
    for path in ("/gradio_api/queue/join", "/gradio_api/call/detect", "/gradio_api/run/predict"):
        assert sent(inside, path, headers, json.dumps(foreign).encode()) == (400 if status == 200 else status)
        assert sent(inside, path, headers, json.dumps(ours).encode()) == status
    del ours["data"][0]["url"]
    assert [json.loads(body) for body in inside.bodies] == ([ours] * 3 if status == 200 else [])


@pytest.mark.parametrize("name", [b"host", b"origin", b"content-length"])
def test_what_is_said_two_times_is_refused(inside: Inside, name: bytes) -> None:
    assert sent(inside, "/gradio_api/queue/join", [*JSON, (name, b"2"), (name, b"2")], b"{}") == 400


@pytest.mark.parametrize(("name", "text"), [(b"host", b"[::1"), (b"origin", b"http://["), (b"origin", b"http://[::1")])
def test_malformed_names_are_refused(inside: Inside, name: bytes, text: bytes) -> None:
    headers = [(key, value) for key, value in ((b"host", b"here"), *JSON) if key != name]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [*headers, (name, text)]}
    answers: list[Message] = []

    async def send(message: Message) -> None:
        answers.append(message)

    asyncio.run(inside.door(scope, None, send))  # type: ignore[arg-type]
    assert answers[0]["status"] == (400 if name == b"host" else 403)


def part(disposition: str, size: int) -> list[bytes]:
    """One part of a form, in pieces."""
    head = f"--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode()
    return [head, *([bytes(1 << 20)] * (size >> 20)), bytes(size % (1 << 20)), b"\r\n"]


def test_only_files_of_an_upload_may_be_large(inside: Inside) -> None:
    file, text, small = 'name="files"; filename="x.png"', 'name="files"', 'name="note"'
    assert sent(inside, UPLOAD, FORM, *part(file, 20 << 20), *part(small, 1000), b"--b--") == 200
    assert sent(inside, UPLOAD, FORM, *part(text, 20 << 20), b"--b--") == 413
    assert sent(inside, UPLOAD, FORM, *[piece for _ in range(80) for piece in part(small, 1000)], b"--b--") == 413
    assert sent(inside, UPLOAD, FORM, b"no form at all") == 400
    assert sent(inside, UPLOAD, JSON, b"{}") == 415
    assert len(inside.bodies) == 1


def test_an_answer_that_begins_late_is_whole(tmp_path: Path) -> None:
    limits = Limits(upload_grace_s=0.1, upload_stall_s=0.1)
    inside = Inside(ResultStore(tmp_path, keep_s=60), limits, busy_s=0.3, hears_of_leaving=True)
    told = asyncio.run(inside.ask("/", [], iter(()), method="GET"))
    assert told == (200, b"all of it")


def test_only_time_that_was_waited_makes_an_upload_late(tmp_path: Path) -> None:
    limits = Limits(upload_grace_s=0.2, upload_bytes_per_s=1000)
    busy = Inside(ResultStore(tmp_path, keep_s=60), limits, busy_s=0.5)
    form = part('name="files"; filename="x"', 10)
    assert sent(busy, UPLOAD, FORM, *form) == 200
    assert sent(busy, UPLOAD, FORM, *form, pace_s=0.15) == 408


def test_room_is_promised_to_uploads_before_they_arrive(tmp_path: Path) -> None:
    limits = Limits(upload_bytes=1000, disk_bytes=250_000, uploads_at_once=3)
    inside = Inside(ResultStore(tmp_path, keep_s=60), limits, busy_s=0.1)

    async def story(count: int, *more: tuple[bytes, bytes]) -> list[int]:
        form = part('name="files"; filename="x"', 10)
        asked = (inside.ask(UPLOAD, [*FORM, *more], iter([*form, b""])) for _ in range(count))
        return sorted(status for status, _ in await asyncio.gather(*asked))

    assert asyncio.run(story(5)) == [200, 200, 200, 503, 503]
    limits = Limits(upload_bytes=1000, disk_bytes=150_000, uploads_at_once=9)
    inside = Inside(ResultStore(tmp_path, keep_s=60), limits, busy_s=0.1)
    assert 507 in asyncio.run(story(5))  # each of unknown size may become as large as it is allowed to
    assert asyncio.run(story(5, (b"content-length", b"100"))) == [200] * 5
    assert asyncio.run(story(1)) == [200]


def test_ten_wrong_guesses_a_minute_and_right_ones_are_free() -> None:
    attempts = RateLimiter()
    for _ in range(50):
        assert attempts.begin("here")
        attempts.forgive("here")
    assert [attempts.begin("there") for _ in range(12)] == [True] * 10 + [False] * 2
    for number in range(10_010):
        attempts.begin(str(number))
    assert len(attempts._failed) == 10_000
