"""The HTTP API, by the client that the documentation shows."""

from __future__ import annotations

import asyncio
import gc
import re
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from deepclarity.stream.files.source import FileSource
from deepclarity.stream.files.still import read_picture
from tests.web.conftest import ROOT, Server, SourceImages


@pytest.fixture(autouse=True)
def _the_client_leaves_its_connections_open() -> Iterator[None]:
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="module")
def client(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    made = Client(server.address, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))
    yield made
    made.close()


def test_detect(client: Client, source_images: SourceImages) -> None:
    said = client.predict(handle_file(source_images.pixelated), "grid", api_name="/detect")
    assert (said["pixelated"], said["kind"], said["method"], said["block_px"]) == (True, "pixelated", "grid", 4)
    assert said["sentence"].startswith("Pixelated, in blocks of 4 × 4 px.")


def test_correct(client: Client, source_images: SourceImages) -> None:
    file, said = client.predict(handle_file(source_images.pixelated), "lanczos", False, api_name="/correct")
    assert said["repaired"]
    assert read_picture(Path(file)).pixels.shape == (270, 480, 3)
    file, said = client.predict(handle_file(source_images.clean), "lanczos", False, api_name="/correct")
    assert not said["repaired"]


def test_repair_video(client: Client, source_images: SourceImages) -> None:
    job = client.submit(handle_file(source_images.clip), full_hd=False, container="mkv", api_name="/repair_video")
    done: dict[str, Any] = job.result(timeout=60)
    assert done["summary"]["repaired"] == 4
    with FileSource(done["video"]) as source:
        assert (source.info.width_px, sum(1 for _ in source)) == (320, 10)
    assert "4 of 10 frames" in Path(done["report"]).read_text()


@pytest.mark.parametrize(
    ("endpoint", "arguments", "words"),
    [
        ("/detect", ["nonsense"], "There is no such method"),
        ("/correct", ["../../etc/passwd", False], "There is no such tier"),
        ("/correct", ["turbo-bicubic", False], "There is no such tier"),
    ],
)
def test_wrong_names_are_refused_in_words(
    client: Client, source_images: SourceImages, endpoint: str, arguments: list[Any], words: str
) -> None:
    with pytest.raises(AppError, match=words):
        client.predict(handle_file(source_images.pixelated), *arguments, api_name=endpoint)


def test_what_is_no_picture_is_refused_without_a_path(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"GIF89a" + bytes(100))
    with pytest.raises(AppError, match="This is not a picture") as refused:
        client.predict(handle_file(path), api_name="/detect")
    assert "/" not in str(refused.value).replace("image/", "")


def test_fifty_at_once_are_answered_or_politely_refused(
    client: Client, source_images: SourceImages, server: Server
) -> None:
    with httpx.Client(base_url=server.address) as web:
        sent = web.post(
            "/gradio_api/upload", files={"files": ("p.png", source_images.pixelated.read_bytes(), "image/png")}
        )
    body = {"data": [{"path": sent.json()[0], "meta": {"_type": "gradio.FileData"}}, "srgan-lite", True]}
    before = server.memory_mb()

    async def ask(web: httpx.AsyncClient) -> int:
        joined = await web.post("/gradio_api/call/correct", json=body)
        if joined.status_code != 200:
            assert joined.headers["retry-after"]
            assert "full" in joined.text
            return joined.status_code
        answer = await web.get(f"/gradio_api/call/correct/{joined.json()['event_id']}")
        assert "event: complete" in answer.text
        return answer.status_code

    async def ask_all() -> list[int]:
        async with httpx.AsyncClient(base_url=server.address, timeout=60) as web:
            return await asyncio.gather(*(ask(web) for _ in range(50)))

    with ThreadPoolExecutor(1) as elsewhere:
        codes = elsewhere.submit(asyncio.run, ask_all()).result()
    assert set(codes) == {200, 503}
    assert codes.count(200) >= 16
    assert server.memory_mb() - before < 400


def test_the_documented_example_runs(server: Server, source_images: SourceImages, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "web.md").read_text()
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert code is not None
    program = code[1].replace("http://127.0.0.1:7860", server.address)
    program = program.replace("picture.png", str(source_images.pixelated)).replace("film.mp4", str(source_images.clip))
    exec(compile(program, "web.md", "exec"), {"print": lambda *words: None})
