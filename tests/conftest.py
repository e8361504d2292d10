"""Shared fixtures: generated clips, and a check that no pipeline thread outlives its test."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from deepclarity.pipelines.demo.scene import paint, pan, pixelate
from deepclarity.stream.files.clip import write_clip

os.environ.setdefault("SVT_LOG", "0")  # SVT-AV1 reads it once per process, and logs to stderr otherwise

Rgb = NDArray[np.uint8]
MakeClip = Callable[..., Path]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests marked `gpu` without a GPU."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU"))


@pytest.fixture(autouse=True)
def _no_handover_thread_outlives_its_test() -> Iterator[None]:
    yield
    deadline = time.monotonic() + 5
    while (left := [t.name for t in threading.enumerate() if t.name == "handover"]) and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert not left


@pytest.fixture(scope="session")
def painting() -> Rgb:
    """The picture of the harbour: RGB uint8, (540, 1280, 3)."""
    return paint(1280, 540)


@pytest.fixture
def make_clip(tmp_path: Path, painting: Rgb) -> MakeClip:
    """`make_clip(count=…, size=(width, height), pixelated=range(…), block_px=…)` writes a clip to `tmp_path`."""

    def make(
        name: str = "clip.mp4",
        *,
        count: int = 20,
        size: tuple[int, int] = (640, 360),
        pixelated: range = range(0),
        block_px: float = 4,
        rate: int = 25,
        tone_hz: float | None = None,
        crf: int = 20,
    ) -> Path:
        frames = pan(painting, count=count, width=size[0], height=size[1])
        pictures = (
            pixelate(frame, block_px=block_px) if number in pixelated else frame for number, frame in enumerate(frames)
        )
        path = tmp_path / name
        write_clip(path, pictures, rate=rate, crf=crf, tone_hz=tone_hz)
        return path

    return make


@pytest.fixture(scope="session")
def shared_clips() -> Path:
    """Folder of real clips beside the project; skips the test if there is none."""
    folder = Path(__file__).parents[2] / "shared" / "data" / "clips"
    if not folder.is_dir():
        pytest.skip("REAL CLIPS UNTESTED: no shared/data/clips beside this checkout")
    return folder
