"""Fixtures for web tests: a server on the loopback, a browser, and files to upload."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from deepclarity.pipelines.demo.scene import paint, pan, pixelate
from deepclarity.stream.files.clip import write_clip
from deepclarity.stream.files.still import Picture, write_picture

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
SHOTS = ROOT / "build" / "screenshots"
MISSING = [name for name in ("gradio", "websockets") if importlib.util.find_spec(name) is None]
if MISSING:  # test_extra.py reports it
    collect_ignore = [
        "security",
        "storage",
        *(path.name for path in Path(__file__).parent.glob("test_*.py") if path.name != "test_extra.py"),
    ]


@dataclass(frozen=True)
class Server:
    """A running web app."""

    address: str
    pid: int
    folder: Path

    @property
    def host(self) -> str:
        """`127.0.0.1:PORT`."""
        return self.address.removeprefix("http://")

    def memory_mb(self) -> float:
        """Resident memory; skips the test on systems without /proc."""
        status = Path(f"/proc/{self.pid}/status")
        found = re.search(r"VmRSS:\s+(\d+)", status.read_text()) if status.is_file() else None
        if found is None:
            pytest.skip("NO /proc: the memory of the server cannot be measured")
        return int(found[1]) / 1024

    def files(self) -> list[Path]:
        """The files on its disk, without the examples."""
        found = (path for path in self.folder.rglob("*") if path.is_file() and path.name != "stderr.txt")
        return [path for path in found if "examples" not in path.parts]


AUDITED_SERVER = """
import socket, sys

LOCAL_HOSTS = None, "127.0.0.1", "localhost", "0.0.0.0", "::1", socket.gethostname()
LOOKUP_EVENTS = "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"

def audit(event, details):
    name = details[0] if event in LOOKUP_EVENTS else details[1][0] if event == "socket.connect" else None
    if name not in LOCAL_HOSTS:
        print("EXTERNAL CONNECTION:", event, name, file=sys.stderr, flush=True)

sys.addaudithook(audit)
from deepclarity.cli.app import main
main()
"""


@contextmanager
def serving(folder: Path, *options: str, **environment: str) -> Iterator[Server]:
    """Run `deepclarity web` in a child process on a free port, files in `folder`; external connections fail."""
    command = [sys.executable, "-c", AUDITED_SERVER, "web", "--port", "0", "--device", "cpu", *options]
    env = {**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1", **environment}
    with (
        (folder / "stderr.txt").open("w") as stderr,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=env, cwd=ROOT) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        try:
            assert found is not None, (folder / "stderr.txt").read_text()
            yield Server(found[0].replace("0.0.0.0", "127.0.0.1"), process.pid, folder)
        finally:
            process.terminate()
            process.wait(timeout=20)
    left = [path.name for path in folder.iterdir() if path.name.startswith("deepclarity-web-")]
    assert left == [], "temporary files were not deleted"
    assert "EXTERNAL CONNECTION" not in (folder / "stderr.txt").read_text()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server, shared by all tests that only send requests to it."""
    with serving(tmp_path_factory.mktemp("server"), "--max-upload", "24") as running:
        yield running


@dataclass(frozen=True)
class SampleFiles:
    """Files to upload."""

    folder: Path

    @property
    def pixelated(self) -> Path:
        """480x270 in 4-pixel blocks."""
        return self.folder / "pixelated.png"

    @property
    def clean(self) -> Path:
        """The same picture, not pixelated, as a JPEG."""
        return self.folder / "clean.jpg"

    @property
    def clip(self) -> Path:
        """Ten frames, of which the middle four are pixelated."""
        return self.folder / "clip.mp4"

    @property
    def long_clip(self) -> Path:
        """A clip that is long enough to be cancelled during its repair."""
        return self.folder / "long.mp4"

    @property
    def camera(self) -> Path:
        """The video of Chromium's fake camera: 640x360 in 4-pixel blocks."""
        return self.folder / "camera.y4m"


@pytest.fixture(scope="session")
def sample_files(tmp_path_factory: pytest.TempPathFactory) -> SampleFiles:
    """Pictures and clips of the demo's harbour scene."""
    images = SampleFiles(tmp_path_factory.mktemp("source_images"))
    canvas = paint(1280, 540)
    picture = np.ascontiguousarray(canvas[100:370, 500:980])
    write_picture(images.pixelated, Picture(np.ascontiguousarray(pixelate(picture, block_px=4)[..., ::-1])))
    write_picture(images.clean, Picture(np.ascontiguousarray(picture[..., ::-1])))
    frames = list(pan(canvas, count=10, width=320, height=180))
    mixed = [pixelate(frame, block_px=4) if 3 <= number < 7 else frame for number, frame in enumerate(frames)]
    write_clip(images.clip, mixed, tone_hz=220)
    write_clip(
        images.long_clip, (pixelate(frame, block_px=4) for _ in range(60) for frame in frames), speed="ultrafast"
    )
    with images.camera.open("wb") as file:
        file.write(b"YUV4MPEG2 W640 H360 F30:1 Ip A1:1 C420jpeg\n")
        for frame in pan(canvas, count=15, width=640, height=360):
            yuv = cv2.cvtColor(pixelate(frame, block_px=4), cv2.COLOR_RGB2YUV_I420)
            file.write(b"FRAME\n" + yuv.tobytes())
    return images


@pytest.fixture(scope="module")  # its event loop stays in this thread until it is closed
def browser(sample_files: SampleFiles) -> Iterator[Browser]:
    """Chromium, with a video file as its camera."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None or importlib.util.find_spec("playwright") is None:
        pytest.skip("NO BROWSER: chromium or playwright is missing, the pages are not tested; apt-get install chromium")
    from playwright.sync_api import sync_playwright

    flags = [
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
    ]
    with sync_playwright() as playwright:
        flags.append(f"--use-file-for-fake-video-capture={sample_files.camera}")
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield browser
        browser.close()


OpenPage = Callable[..., "Page"]


@pytest.fixture
def open_page(browser: Browser, server: Server) -> Iterator[OpenPage]:
    """`open_page(tab, theme=…, width=…)` opens the app; fails after script errors and requests to other hosts."""
    contexts, problems = [], []

    def open_tab(
        tab: str = "Detect", *, theme: str = "light", width: int = 1280, script: str = "", touch: bool = False
    ) -> Page:
        base, permissions = server.address, ["camera", "clipboard-read", "clipboard-write"]
        size = {"width": width, "height": 900}
        context = browser.new_context(
            viewport=size, color_scheme=theme, permissions=permissions, has_touch=touch,  # type: ignore[arg-type]
        )  # fmt: skip
        contexts.append(context)
        context.add_init_script(script)
        page = context.new_page()
        allowed = (base, base.replace("http", "ws"), "data:", "blob:")
        page.on("request", lambda r: None if r.url.startswith(allowed) else problems.append(f"request to {r.url}"))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(base)
        page.get_by_role("tab", name=tab).click()
        return page

    yield open_tab
    for context in contexts:
        context.close()
    assert problems == []


def wait_for(condition: Callable[[], bool], *, seconds: float = 10) -> None:
    """Wait until `condition` is true; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.05)
