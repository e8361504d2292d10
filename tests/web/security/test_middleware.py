"""Strangers at the door: other sites, other names, other people's files, addresses to fetch, too much, too slow."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from deepclarity.web.security.limits import Limits
from deepclarity.web.security.middleware import RequestMiddleware
from deepclarity.web.storage.results import ResultStore
from tests.web.conftest import Server, SourceImages, serving, wait_for


@pytest.fixture
def web(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.address, timeout=30) as client:
        yield client


@pytest.fixture
def trap() -> Iterator[socket.socket]:
    """Listens; afterwards nobody may have called."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.2)
        yield listening
        with pytest.raises(TimeoutError):
            listening.accept()


def upload(web: httpx.Client, path: Path) -> str:
    sent = web.post("/gradio_api/upload", files={"files": (path.name, path.read_bytes())})
    return str(sent.json()[0])


def call(web: httpx.Client, endpoint: str, *data: Any) -> str:
    """The answer of an endpoint, words of refusal too."""
    more = {"detect": ["grid"], "correct": ["lanczos", False], "repair_video": ["lanczos", False, True, "mp4"]}[
        endpoint
    ]
    joined = web.post(f"/gradio_api/call/{endpoint}", json={"data": [*data, *more]})
    if joined.status_code != 200:
        return joined.text
    return web.get(f"/gradio_api/call/{endpoint}/{joined.json()['event_id']}").text


def file(path: str, **more: str) -> dict[str, Any]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **more}


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example"},
    ],
)
def test_other_sites_and_other_names_are_refused(web: httpx.Client, headers: dict[str, str]) -> None:
    body = {"data": [None, "grid"]}
    refused = web.post("/gradio_api/call/detect", json=body, headers=headers)
    assert refused.status_code == 403
    assert "access-control-allow-origin" not in refused.headers
    assert "event_id" not in refused.text


def test_a_link_from_another_site_may_lead_here(web: httpx.Client) -> None:
    came = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert web.get("/", headers=came).status_code == 200
    assert web.get("/gradio_api/info", headers=came).status_code == 403
    assert web.get("/logout", headers=came).status_code == 403


def test_the_camera_of_another_site_is_refused(server: Server) -> None:
    with connect(f"ws://{server.host}/live", origin=f"http://{server.host}"):  # type: ignore[arg-type]
        pass
    with pytest.raises(InvalidStatus, match="403"), connect(f"ws://{server.host}/live", origin="http://evil.example"):  # type: ignore[arg-type]
        pass


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd", "/gradio_api/file=../../../../etc/passwd",
        "/gradio_api/file=%2e%2e/%2e%2e/etc/passwd", "/gradio_api/file=%252e%252e/etc/passwd",
        "/gradio_api/file=..%5c..%5cetc%5cpasswd", "/gradio_api/file=/etc/passwd%00.png",
        "/gradio_api/file=file:///etc/passwd", "/results/../../etc/passwd", "/results/%2e%2e%2f%2e%2e/passwd",
        f"/results/{'a' * 32}/passwd", "/examples/..%2f..%2fetc%2fpasswd", "/own/..%2fserver.py",
        "/static/..%2f..%2froutes.py", "/assets/..%2f..%2f..%2froutes.py",
    ],
)  # fmt: skip
def test_no_path_leads_out(web: httpx.Client, path: str) -> None:
    answer = web.get(path)
    assert answer.status_code in (400, 403, 404)
    assert "root:" not in answer.text
    assert "import" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/proxy=http://127.0.0.1/", "/monitoring", "/monitoring/summary", "/gradio_api/vibe-code",
        "/gradio_api/process_recording", "/gradio_api/runs", "/gradio_api/deep_link", "/gradio_api/dev/reload",
        "/gradio_api/component_server", "/gradio_api/run/detect", "/gradio_api/api/detect", "/docs", "/openapi.json",
    ],
)  # fmt: skip
def test_what_is_not_needed_is_shut(web: httpx.Client, path: str) -> None:
    assert web.get(path).status_code in (404, 405)
    assert web.post(path, json={"data": []}).status_code in (404, 405)


def test_addresses_are_never_fetched(web: httpx.Client, trap: socket.socket, source_images: SourceImages) -> None:
    port = trap.getsockname()[1]
    ours = upload(web, source_images.pixelated)
    addresses = [
        f"http://{host}:{port}/x.png" for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433")
    ]
    for address in (*addresses, "file:///etc/passwd", f"rtsp://127.0.0.1:{port}/x", f"tcp://127.0.0.1:{port}"):
        for endpoint in ("detect", "correct", "repair_video"):
            assert "uploaded here" in call(web, endpoint, file(address))
            assert "uploaded here" in call(web, endpoint, file(address, url=address))
        assert web.get(f"/gradio_api/file={address}").status_code == 403
    assert '"pixelated": true' in call(web, "detect", file(ours, url=addresses[0]))  # dropped, the file is used
    joined = {"data": [file(ours, url=addresses[0]), "grid"], "fn_index": 0, "session_hash": "x", "event_data": None}
    assert web.post("/gradio_api/queue/join", json=joined).status_code == 200


def test_files_of_others_are_not_read(web: httpx.Client) -> None:
    for path in ("/etc/passwd", "../../etc/passwd", "", "/proc/self/environ"):
        assert "root:" not in call(web, "detect", file(path))
        assert "uploaded here" in call(web, "detect", file(path)) or path == ""
    assert "Choose a file first" in call(web, "detect", None)


def test_playlists_are_no_videos(
    web: httpx.Client, trap: socket.socket, tmp_path: Path, source_images: SourceImages
) -> None:
    address = f"http://127.0.0.1:{trap.getsockname()[1]}/x.ts"
    playlist = f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10.0,\n{address}\n#EXT-X-ENDLIST\n".encode()
    concat = f"ffconcat version 1.0\nfile {address}\n".encode()
    dash = (
        f"<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'><BaseURL>{address}</BaseURL></MPD>".encode()
    )
    sdp = b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    gab2 = b"GAB2\0\x02\0" + bytes(4) + b"\x04\0" + len(playlist).to_bytes(4, "little") + playlist
    avi = b"RIFF" + (len(gab2) + 24).to_bytes(4, "little") + b"AVI LIST" + (len(gab2) + 12).to_bytes(4, "little")
    avi += b"movi01tx" + len(gab2).to_bytes(4, "little") + gab2
    whole = source_images.clip.read_bytes()
    for name, content in {
        "a.mp4": playlist, "b.mp4": concat, "c.mkv": dash, "d.mp4": sdp, "e.avi": avi, "f.mp4": whole[:200] + playlist,
        "g.mp4": b"\0\0\0\x18ftypisom" + bytes(12) + playlist, "h.ts": (b"\x47" + bytes(187)) * 6 + playlist,
        "i.mp4": b"x",
    }.items():  # fmt: skip
        path = tmp_path / name
        path.write_bytes(content)
        said = call(web, "repair_video", file(upload(web, path)))
        assert "event: error" in said, name
        assert "This is not a video" in said or "This video cannot be read" in said, name


def test_a_foreign_reference_in_an_mp4_is_not_followed(
    web: httpx.Client, trap: socket.socket, tmp_path: Path, source_images: SourceImages
) -> None:
    """Its samples are said to lie at an address; the index is at the end, so that it may grow."""
    content = source_images.clip.read_bytes()
    address = f"http://127.0.0.1:{trap.getsockname()[1]}/x.mp4\0".encode()
    foreign = (12 + len(address)).to_bytes(4, "big") + b"url " + bytes(4) + address
    own, atoms = b"\0\0\0\x0curl \0\0\0\x01", (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref")
    at = content.index(own)
    grown = bytearray(content[:at] + foreign + content[at + len(own) :])
    for name in atoms:
        size_at = content.rindex(name, 0, at) - 4
        size = int.from_bytes(content[size_at : size_at + 4], "big") + len(foreign) - len(own)
        grown[size_at : size_at + 4] = size.to_bytes(4, "big")
    path = tmp_path / "reference.mp4"
    path.write_bytes(grown)
    assert "event:" in call(web, "repair_video", file(upload(web, path)))


def test_too_large_is_cut_off_and_deleted(web: httpx.Client, server: Server) -> None:
    def pieces() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="large.png"\r\n\r\n'
        for _ in range(40):
            yield bytes(1 << 20)

    form = {"content-type": "multipart/form-data; boundary=b"}
    declared = {**form, "content-length": str(1 << 30)}
    for headers in (form, declared):
        refused = web.post("/gradio_api/upload", content=pieces(), headers=headers)
        assert refused.status_code == 413
        assert "at most 24 MB" in refused.json()["detail"]
    wait_for(lambda: not [path for path in server.files() if path.stat().st_size > 20 << 20], seconds=60)
    assert web.post("/gradio_api/queue/join", json={"data": ["x" * (2 << 20)]}).status_code == 413
    assert web.post("/gradio_api/queue/join", content=b"[" * 900_000, headers=JSON).status_code == 400
    assert web.get("/").status_code == 200


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("limits", [Limits(upload_grace_s=0.1), Limits(upload_stall_s=0.1)])
def test_too_slow_is_cut_off(tmp_path: Path, limits: Limits) -> None:
    sent: list[Message] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] == "http.request":
            pass
        raise ConnectionError("what Gradio does when its client is gone")

    pieces: list[Message] = [{"type": "http.request", "body": b"--b", "more_body": True}]

    async def receive() -> Message:
        if pieces:
            return pieces.pop()
        await asyncio.sleep(0.5)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    door = RequestMiddleware(inner, limits, ResultStore(tmp_path, keep_s=60), lambda name: True, lambda headers: True)
    headers = [(b"host", b"here"), (b"content-type", b"multipart/form-data; boundary=b")]
    scope = {"type": "http", "method": "POST", "path": "/gradio_api/upload", "headers": headers}
    asyncio.run(door(scope, receive, send))
    assert sent[0]["status"] == 408
    assert "too slow" in json.loads(sent[1]["body"])["detail"]


def test_the_disk_is_not_filled(tmp_path: Path, web: httpx.Client) -> None:
    store = ResultStore(tmp_path, keep_s=60)
    store.place("large").write_bytes(bytes(2000))
    answers: list[Message] = []

    async def send(message: Message) -> None:
        answers.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("came through")

    door = RequestMiddleware(inner, Limits(disk_bytes=1000), store, lambda name: True, lambda headers: True)
    headers = [(b"host", b"here"), (b"content-type", b"multipart/form-data; boundary=b")]
    scope = {"type": "http", "method": "POST", "path": "/gradio_api/upload", "headers": headers}
    asyncio.run(door(scope, receive, send))
    assert answers[0]["status"] == 507


def test_whoever_has_no_password_sees_the_sign_in_page_only(tmp_path: Path) -> None:
    with (
        serving(tmp_path, DEEPCLARITY_AUTH="anna:s3cret:word") as guarded,
        httpx.Client(base_url=guarded.address) as web,
    ):
        commands = Path(f"/proc/{guarded.pid}/cmdline")
        assert not commands.is_file() or "s3cret" not in commands.read_text()
        for path in ("/gradio_api/info", "/examples/clip.mp4", f"/results/{'a' * 32}/x.png", "/gradio_api/queue/data"):
            assert web.get(path).status_code == 401
        assert web.post("/gradio_api/upload", files={"files": ("a", b"x")}).status_code == 401
        with pytest.raises(InvalidStatus), connect(f"ws://{guarded.host}/live"):
            pass
        wrong = {"username": "anna", "password": "guess"}
        assert web.post("/login", data=wrong).status_code == 400
        assert web.post("/login", data={"username": "anna", "password": "s3cret:word"}).status_code == 200
        assert web.get("/gradio_api/info").status_code == 200
        assert web.get("/gradio_api/info", headers={"host": "clarity.example"}).status_code == 200
        cookies = "; ".join(f"{name}={value}" for name, value in web.cookies.items())
        cookies += '; other={"of": "another server on localhost", "x": [1, 2]}'
        assert web.get("/gradio_api/info", headers={"cookie": cookies}).status_code == 200
        with connect(f"ws://{guarded.host}/live", additional_headers={"cookie": cookies}):
            pass
        assert {web.post("/login", data=wrong).status_code for _ in range(12)} == {400, 429}
        assert "s3cret" not in (tmp_path / "stderr.txt").read_text()


def test_results_and_given_up_uploads_are_swept_away(tmp_path: Path) -> None:
    store = ResultStore(tmp_path, keep_s=100)
    old, new, partial = store.place("old.png"), store.place("new.png"), tmp_path / "tmpabc"
    for path, age_s in ((old, 200), (new, 0), (partial, 60)):
        path.write_bytes(b"x")
        then = path.stat().st_mtime - age_s
        os.utime(path, (then, then))
    store.sweep()
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["new.png"]
    assert not old.parent.exists()
    assert store.find(new.parent.name, "new.png") == new
    assert store.find(new.parent.name, "../new.png") is None
    assert store.find("../results", "new.png") is None


def test_what_is_still_needed_is_not_swept_away(tmp_path: Path) -> None:
    store = ResultStore(tmp_path, keep_s=100)
    film, empty = tmp_path / "film.mp4", tmp_path / "abc"
    film.write_bytes(b"x")
    empty.mkdir()
    for path in (film, empty):
        os.utime(path, (1, 1))
    with store.hold(film):
        store.sweep()
        assert film.is_file()
    store.sweep()
    assert film.is_file()
    os.utime(film, (1, 1))
    store.sweep()
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
