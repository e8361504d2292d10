"""Requests that are refused: foreign sites and hosts, paths, addresses, too much, too slow, without a password."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from deepclarity.web.limits import Limits
from deepclarity.web.security.middleware import RequestMiddleware
from deepclarity.web.storage.results import ResultStore
from tests.web.conftest import SampleFiles, Server, serving, wait_for


@pytest.fixture
def web(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.address, timeout=30) as client:
        yield client


@pytest.fixture
def no_connection() -> Iterator[socket.socket]:
    """A listening socket; fails if anything has connected to it by the end of the test."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.2)
        yield listening
        with pytest.raises(TimeoutError):
            listening.accept()


def upload(web: httpx.Client, path: Path) -> str:
    response = web.post("/gradio_api/upload", files={"files": (path.name, path.read_bytes())})
    return str(response.json()[0])


def call(web: httpx.Client, endpoint: str, *data: Any) -> str:
    """The answer of an endpoint, which may be an error message."""
    options = {
        "detect": ["grid"],
        "correct": ["lanczos", False],
        "repair_video": ["lanczos", False, True, "mp4", "pixelated"],
    }[endpoint]
    joined = web.post(f"/gradio_api/call/{endpoint}", json={"data": [*data, *options]})
    if joined.status_code != 200:
        return joined.text
    return web.get(f"/gradio_api/call/{endpoint}/{joined.json()['event_id']}").text


def file(path: str, **fields: str) -> dict[str, Any]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **fields}


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
def test_foreign_origin_or_host_returns_403(web: httpx.Client, headers: dict[str, str]) -> None:
    body = {"data": [None, "grid"]}
    response = web.post("/gradio_api/call/detect", json=body, headers=headers)
    assert response.status_code == 403
    assert "access-control-allow-origin" not in response.headers
    assert "event_id" not in response.text


def test_cross_site_navigation_may_open_the_page_only(web: httpx.Client) -> None:
    navigation = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert web.get("/", headers=navigation).status_code == 200
    assert web.get("/gradio_api/info", headers=navigation).status_code == 403
    assert web.get("/logout", headers=navigation).status_code == 403


def test_websocket_from_a_foreign_origin_is_refused(server: Server) -> None:
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
def test_path_traversal_is_refused(web: httpx.Client, path: str) -> None:
    response = web.get(path)
    assert response.status_code in (400, 403, 404)
    assert "root:" not in response.text
    assert "import" not in response.text


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/proxy=http://127.0.0.1/", "/monitoring", "/monitoring/summary", "/gradio_api/vibe-code",
        "/gradio_api/process_recording", "/gradio_api/runs", "/gradio_api/deep_link", "/gradio_api/dev/reload",
        "/gradio_api/component_server", "/gradio_api/run/detect", "/gradio_api/api/detect", "/docs", "/openapi.json",
    ],
)  # fmt: skip
def test_unused_gradio_routes_are_closed(web: httpx.Client, path: str) -> None:
    assert web.get(path).status_code in (404, 405)
    assert web.post(path, json={"data": []}).status_code in (404, 405)


def test_urls_are_never_fetched(web: httpx.Client, no_connection: socket.socket, sample_files: SampleFiles) -> None:
    port = no_connection.getsockname()[1]
    uploaded = upload(web, sample_files.pixelated)
    addresses = [
        f"http://{host}:{port}/x.png" for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433")
    ]
    for address in (*addresses, "file:///etc/passwd", f"rtsp://127.0.0.1:{port}/x", f"tcp://127.0.0.1:{port}"):
        for endpoint in ("detect", "correct", "repair_video"):
            assert "uploaded here" in call(web, endpoint, file(address))
            assert "uploaded here" in call(web, endpoint, file(address, url=address))
        assert web.get(f"/gradio_api/file={address}").status_code == 403
    assert '"pixelated": true' in call(web, "detect", file(uploaded, url=addresses[0]))  # the URL is dropped
    joined = {
        "data": [file(uploaded, url=addresses[0]), "grid"],
        "fn_index": 0,
        "session_hash": "x",
        "event_data": None,
    }
    assert web.post("/gradio_api/queue/join", json=joined).status_code == 200


def test_files_outside_the_store_are_not_read(web: httpx.Client) -> None:
    for path in ("/etc/passwd", "../../etc/passwd", "", "/proc/self/environ"):
        assert "root:" not in call(web, "detect", file(path))
        assert "uploaded here" in call(web, "detect", file(path)) or path == ""
    assert "Choose a file first" in call(web, "detect", None)


def test_playlists_are_not_accepted_as_videos(
    web: httpx.Client, no_connection: socket.socket, tmp_path: Path, sample_files: SampleFiles
) -> None:
    address = f"http://127.0.0.1:{no_connection.getsockname()[1]}/x.ts"
    playlist = f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10.0,\n{address}\n#EXT-X-ENDLIST\n".encode()
    concat = f"ffconcat version 1.0\nfile {address}\n".encode()
    dash = (
        f"<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'><BaseURL>{address}</BaseURL></MPD>".encode()
    )
    sdp = b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    gab2 = b"GAB2\0\x02\0" + bytes(4) + b"\x04\0" + len(playlist).to_bytes(4, "little") + playlist
    avi = b"RIFF" + (len(gab2) + 24).to_bytes(4, "little") + b"AVI LIST" + (len(gab2) + 12).to_bytes(4, "little")
    avi += b"movi01tx" + len(gab2).to_bytes(4, "little") + gab2
    clip = sample_files.clip.read_bytes()
    for name, content in {
        "a.mp4": playlist, "b.mp4": concat, "c.mkv": dash, "d.mp4": sdp, "e.avi": avi, "f.mp4": clip[:200] + playlist,
        "g.mp4": b"\0\0\0\x18ftypisom" + bytes(12) + playlist, "h.ts": (b"\x47" + bytes(187)) * 6 + playlist,
        "i.mp4": b"x",
    }.items():  # fmt: skip
        path = tmp_path / name
        path.write_bytes(content)
        answer = call(web, "repair_video", file(upload(web, path)))
        assert "event: error" in answer, name
        assert "This is not a video" in answer or "This video cannot be read" in answer, name


def test_external_data_reference_in_mp4_is_not_followed(
    web: httpx.Client, no_connection: socket.socket, tmp_path: Path, sample_files: SampleFiles
) -> None:
    """The data reference of the file names a URL; the index is at the end of the file, so that it may grow."""
    content = sample_files.clip.read_bytes()
    address = f"http://127.0.0.1:{no_connection.getsockname()[1]}/x.mp4\0".encode()
    external = (12 + len(address)).to_bytes(4, "big") + b"url " + bytes(4) + address
    internal, atoms = b"\0\0\0\x0curl \0\0\0\x01", (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref")
    at = content.index(internal)
    modified = bytearray(content[:at] + external + content[at + len(internal) :])
    for name in atoms:
        size_at = content.rindex(name, 0, at) - 4
        size = int.from_bytes(content[size_at : size_at + 4], "big") + len(external) - len(internal)
        modified[size_at : size_at + 4] = size.to_bytes(4, "big")
    path = tmp_path / "reference.mp4"
    path.write_bytes(modified)
    assert "event:" in call(web, "repair_video", file(upload(web, path)))


def test_upload_over_limit_returns_413_and_is_deleted(web: httpx.Client, server: Server) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="large.png"\r\n\r\n'
        for _ in range(40):
            yield bytes(1 << 20)

    form = {"content-type": "multipart/form-data; boundary=b"}
    declared = {**form, "content-length": str(1 << 30)}
    for headers in (form, declared):
        response = web.post("/gradio_api/upload", content=chunks(), headers=headers)
        assert response.status_code == 413
        assert "at most 24 MB" in response.json()["detail"]
    wait_for(lambda: not [path for path in server.files() if path.stat().st_size > 20 << 20], seconds=60)
    assert web.post("/gradio_api/queue/join", json={"data": ["x" * (2 << 20)]}).status_code == 413
    assert web.post("/gradio_api/queue/join", content=b"[" * 900_000, headers=JSON).status_code == 400
    assert web.get("/").status_code == 200


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("limits", [Limits(upload_grace_s=0.1), Limits(upload_stall_s=0.1)])
def test_slow_upload_returns_408(tmp_path: Path, limits: Limits) -> None:
    sent: list[Message] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] == "http.request":
            pass
        raise ConnectionError("Gradio raises this when its client has disconnected")

    messages: list[Message] = [{"type": "http.request", "body": b"--b", "more_body": True}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await asyncio.sleep(5)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    middleware = RequestMiddleware(
        inner, limits, ResultStore(tmp_path, retention_s=60), lambda name: True, lambda headers: True
    )
    headers = [(b"host", b"here"), (b"content-type", b"multipart/form-data; boundary=b")]
    scope = {"type": "http", "method": "POST", "path": "/gradio_api/upload", "headers": headers}
    asyncio.run(middleware(scope, receive, send))
    assert sent[0]["status"] == 408
    assert "too slow" in json.loads(sent[1]["body"])["detail"]


def test_upload_over_disk_quota_returns_507(tmp_path: Path, web: httpx.Client) -> None:
    store = ResultStore(tmp_path, retention_s=60)
    store.new_path("large").write_bytes(bytes(2000))
    responses: list[Message] = []

    async def send(message: Message) -> None:
        responses.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("the request reached the application")

    middleware = RequestMiddleware(inner, Limits(disk_bytes=1000), store, lambda name: True, lambda headers: True)
    headers = [(b"host", b"here"), (b"content-type", b"multipart/form-data; boundary=b")]
    scope = {"type": "http", "method": "POST", "path": "/gradio_api/upload", "headers": headers}
    asyncio.run(middleware(scope, receive, send))
    assert responses[0]["status"] == 507


def test_without_sign_in_only_the_sign_in_page_is_served(tmp_path: Path) -> None:
    with (
        serving(tmp_path, DEEPCLARITY_AUTH="anna:s3cret:word") as server,
        httpx.Client(base_url=server.address) as web,
    ):
        command_line = Path(f"/proc/{server.pid}/cmdline")
        assert not command_line.is_file() or "s3cret" not in command_line.read_text()
        for path in ("/gradio_api/info", "/examples/clip.mp4", f"/results/{'a' * 32}/x.png", "/gradio_api/queue/data"):
            assert web.get(path).status_code == 401
        assert web.post("/gradio_api/upload", files={"files": ("a", b"x")}).status_code == 401
        with pytest.raises(InvalidStatus), connect(f"ws://{server.host}/live"):
            pass
        wrong = {"username": "anna", "password": "guess"}
        assert web.post("/login", data=wrong).status_code == 400
        assert web.post("/login", data={"username": "anna", "password": "s3cret:word"}).status_code == 200
        assert web.get("/gradio_api/info").status_code == 200
        assert web.get("/gradio_api/info", headers={"host": "clarity.example"}).status_code == 200
        cookies = "; ".join(f"{name}={value}" for name, value in web.cookies.items())
        cookies += '; other={"of": "another server on localhost", "x": [1, 2]}'
        assert web.get("/gradio_api/info", headers={"cookie": cookies}).status_code == 200
        with connect(f"ws://{server.host}/live", additional_headers={"cookie": cookies}):
            pass
        assert {web.post("/login", data=wrong).status_code for _ in range(12)} == {400, 429}
        assert "s3cret" not in (tmp_path / "stderr.txt").read_text()
