"""The HTTP API, tested with the client that the documentation shows."""

from __future__ import annotations

import asyncio
import gc
import io
import re
import warnings
import zipfile
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
from tests.web.conftest import ROOT, SampleFiles, Server


@pytest.fixture(autouse=True)
def _ignore_connections_left_open_by_the_client() -> Iterator[None]:
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="module")
def client(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = Client(server.address, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))
    yield client
    client.close()


def test_detect_returns_the_verdict(client: Client, sample_files: SampleFiles) -> None:
    verdict = client.predict(handle_file(sample_files.pixelated), "grid", api_name="/detect")
    assert (verdict["pixelated"], verdict["kind"], verdict["method"], verdict["block_px"]) == (
        True,
        "pixelated",
        "grid",
        4,
    )
    assert verdict["sentence"].startswith("Pixelated, in blocks of 4 × 4 px.")


def test_correct_returns_a_png_and_the_verdict(client: Client, sample_files: SampleFiles) -> None:
    file, verdict = client.predict(handle_file(sample_files.pixelated), "lanczos", False, api_name="/correct")
    assert verdict["repaired"]
    assert read_picture(Path(file)).pixels.shape == (270, 480, 3)
    file, verdict = client.predict(handle_file(sample_files.clean), "lanczos", False, api_name="/correct")
    assert not verdict["repaired"]


def test_several_pictures_come_back_with_a_zip_and_a_page(
    client: Client, sample_files: SampleFiles, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    files = [handle_file(path) for path in (sample_files.pixelated, tmp_path / "bad.png", sample_files.clean)]
    answer = client.predict(files, "lanczos", api_name="/correct_several")
    assert [(each["name"], each["repaired"]) for each in answer["pictures"]] == [
        ("pixelated.png", True),
        ("bad.png", False),
        ("clean.jpg", False),
    ]
    assert read_picture(Path(answer["pictures"][0]["file"])).pixels.shape == (270, 480, 3)
    assert answer["pictures"][1]["error"].startswith("This is not a picture")
    with httpx.Client(base_url=server.address) as web:
        content = web.get(answer["zip"]).content
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert archive.testzip() is None
            assert archive.namelist() == ["pixelated.clear.png", "clean.jpg", "results.json"]
        assert "1 of 3 pictures was repaired" in web.get(answer["page"]).text
        assert "dc-compare" in web.get(f"{answer['page']}/0").text
        assert "<html" not in web.get(f"{answer['page']}/0?part=1").text
        page = web.get(answer["page"], headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"})
        assert page.status_code == 200  # the link may be in a message on another site
        for path in (answer["zip"], f"{answer['page']}/pixelated.clear.png"):
            other = web.get(path, headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"})
            assert other.status_code == 403
        for path in (
            f"/results/{'x' * 32}",
            "/results/x",
            f"{answer['page']}/77777777",
            f"{answer['page']}/.items.json",
        ):
            missing = web.get(path)
            assert missing.status_code == 404
            assert "There is no such result" in missing.text


def test_repair_video_returns_video_report_and_summary(client: Client, sample_files: SampleFiles) -> None:
    job = client.submit(handle_file(sample_files.clip), full_hd=False, container="mkv", api_name="/repair_video")
    result: dict[str, Any] = job.result(timeout=60)
    assert result["summary"]["repaired"] == 4
    with FileSource(result["video"]) as source:
        assert (source.info.width_px, sum(1 for _ in source)) == (320, 10)
    assert "4 of 10 frames" in Path(result["report"]).read_text()
    stretches = [(each["treatment"], each["first_frame"], each["last_frame"]) for each in result["stretches"]]
    assert stretches == [("passed", 0, 2), ("repaired", 3, 6), ("passed", 7, 9)]


@pytest.mark.parametrize(
    ("endpoint", "arguments", "message"),
    [
        ("/detect", ["nonsense"], "There is no such method"),
        ("/correct", ["../../etc/passwd", False], "There is no such tier"),
        ("/correct", ["turbo-bicubic", False], "There is no such tier"),
        ("/repair_video", ["auto", False, True, "mp4", "everything"], "Choose what to repair"),
    ],
)
def test_unknown_method_or_tier_is_refused_with_a_message(
    client: Client, sample_files: SampleFiles, endpoint: str, arguments: list[Any], message: str
) -> None:
    with pytest.raises(AppError, match=message):
        client.predict(handle_file(sample_files.pixelated), *arguments, api_name=endpoint)


def test_error_for_an_invalid_picture_contains_no_path(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"GIF89a" + bytes(100))
    with pytest.raises(AppError, match="This is not a picture") as refused:
        client.predict(handle_file(path), api_name="/detect")
    assert "/" not in str(refused.value).replace("image/", "")


def test_fifty_concurrent_requests_return_200_or_503(client: Client, sample_files: SampleFiles, server: Server) -> None:
    with httpx.Client(base_url=server.address) as web:
        uploaded = web.post(
            "/gradio_api/upload", files={"files": ("p.png", sample_files.pixelated.read_bytes(), "image/png")}
        )
    body = {"data": [{"path": uploaded.json()[0], "meta": {"_type": "gradio.FileData"}}, "srgan-lite", True]}
    before = server.memory_mb()

    async def request(web: httpx.AsyncClient) -> int:
        joined = await web.post("/gradio_api/call/correct", json=body)
        if joined.status_code != 200:
            assert joined.headers["retry-after"]
            assert "full" in joined.text
            return joined.status_code
        answer = await web.get(f"/gradio_api/call/correct/{joined.json()['event_id']}")
        assert "event: complete" in answer.text
        return answer.status_code

    async def request_all() -> list[int]:
        async with httpx.AsyncClient(base_url=server.address, timeout=60) as web:
            return await asyncio.gather(*(request(web) for _ in range(50)))

    with ThreadPoolExecutor(1) as executor:
        codes = executor.submit(asyncio.run, request_all()).result()
    assert set(codes) == {200, 503}
    assert codes.count(200) >= 16
    assert server.memory_mb() - before < 400


def test_example_in_the_documentation_runs(server: Server, sample_files: SampleFiles, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "web.md").read_text()
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert code is not None
    program = code[1].replace("http://127.0.0.1:7860", server.address)
    program = (
        program.replace("picture.png", str(sample_files.pixelated))
        .replace("other.png", str(sample_files.clean))
        .replace("film.mp4", str(sample_files.clip))
    )
    exec(compile(program, "web.md", "exec"), {"print": lambda *values: None})
