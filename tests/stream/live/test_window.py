"""Preview window, on a virtual display."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from deepclarity.errors import UsageError
from deepclarity.stream.info import Colour
from deepclarity.stream.live.window import Window, compare, display_works
from tests.rtsp.wait import wait_until

_MISSING_TOOLS = [tool for tool in ("Xvfb", "xdotool") if shutil.which(tool) is None]
_SCRIPT = """
import sys
from deepclarity.cli.app import run
from deepclarity.stream.live import window
original_show = window.Window.show
def show(self, after, before, *, colour, status):
    original_show(self, after, before, colour=colour, status=status)
    print(round(self.split, 2), status, flush=True)
window.Window.show = show
sys.exit(run(["live", "--camera", "lavfi:testsrc2=size=320x180:rate=30,realtime", "--none", "--seconds", "30"]))
"""


def _opens_windows(display: str) -> bool:
    script = "import cv2; cv2.namedWindow('probe'); cv2.waitKey(1)"
    environment = {**os.environ, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb"}
    return subprocess.run([sys.executable, "-c", script], env=environment, timeout=30, check=False).returncode == 0


@pytest.fixture
def display() -> Iterator[str]:
    if _MISSING_TOOLS:
        pytest.skip(f"preview window not tested: {' and '.join(_MISSING_TOOLS)} not installed")
    read_fd, write_fd = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write_fd), "-screen", "0", "1400x900x24"],
        pass_fds=[write_fd],
        stderr=subprocess.DEVNULL,
    )
    os.close(write_fd)
    with os.fdopen(read_fd) as pipe:
        number = pipe.readline().strip()
    if not _opens_windows(f":{number}"):
        server.terminate()
        server.wait(5)
        pytest.skip("preview window not tested: OpenCV cannot open a window on Xvfb")
    yield f":{number}"
    server.terminate()
    server.wait(5)


def test_keys_and_mouse_move_the_split_and_q_closes(display: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    environment = {**os.environ, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb"}
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-c", _SCRIPT], env=environment, stdout=out, stderr=out)
    try:

        def split() -> float:
            lines = [line for line in log.read_text().splitlines() if " fps " in line]
            return float(lines[-1].split()[0]) if lines else -1.0

        def xdotool(*arguments: str) -> str:
            result = subprocess.run(
                ["xdotool", *arguments], env=environment, capture_output=True, text=True, timeout=10, check=False
            )
            return result.stdout.strip()

        wait_until(lambda: split() == 0.5, timeout_s=20, what=log.read_text)
        window = xdotool("search", "--name", "DeepClarity").splitlines()[-1]
        xdotool("windowfocus", window, "key", "--window", window, "d")
        wait_until(lambda: split() == 0.55, timeout_s=5, what=log.read_text)
        xdotool("mousemove", "--window", window, "320", "300", "mousedown", "1")
        xdotool("mousemove", "--window", window, "322", "302", "mouseup", "1")
        wait_until(lambda: 0.15 < split() < 0.35, timeout_s=5, what=log.read_text)
        xdotool("windowfocus", window, "key", "--window", window, "q")
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()
    assert " ms " in log.read_text()


def test_missing_display_raises_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="--no-view"):
        Window()


def test_unreachable_display_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("DISPLAY", ":4242")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    display_works.cache_clear()
    assert not display_works()
    display_works.cache_clear()


def test_comparison_shows_before_left_and_after_right_of_the_split() -> None:
    def grey(level: int, width: int, height: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        luma = np.full((height, width), level, np.uint8)
        chroma = np.full((height // 2, width // 2), 128, np.uint8)
        return luma, chroma, chroma

    picture = compare(grey(16, 320, 180), grey(235, 1920, 1080), colour=Colour(1, 1, 1, 1), split=0.25, status="")
    assert picture.shape == (720, 1280, 3)
    assert picture[360, 100].tolist() == [0, 0, 0]
    assert picture[360, 1000].tolist() == [255, 255, 255]
