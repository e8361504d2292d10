"""A folder with everything that the documentation's examples name."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from deepclarity.cli.app import run
from deepclarity.pipelines.datasets.synthetic import pixel_art
from deepclarity.pipelines.demo.scene import pan, pixelate
from deepclarity.stream.files.clip import write_clip

SIZE = (320, 180)


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory, painting: NDArray[np.uint8]) -> Path:
    """film.mp4, picture.png, models/, … and `bin/deepclarity`. Never changed: each page gets a copy."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("DOCUMENTATION NOT RUN: ffmpeg is not installed")
    folder = tmp_path_factory.mktemp("examples")
    _videos(folder, painting)
    _pictures(folder, painting)
    _models(folder)
    command = folder / "bin" / "deepclarity"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m deepclarity "$@"\n')
    command.chmod(0o755)
    return folder


def _videos(folder: Path, painting: NDArray[np.uint8]) -> None:
    frames = pan(painting, count=12, width=SIZE[0], height=SIZE[1])
    pictures = [pixelate(frame, block_px=4) if 4 <= number < 8 else frame for number, frame in enumerate(frames)]
    write_clip(folder / "film.mp4", pictures, rate=25, tone_hz=220)
    fields = "scale=352:288,fps=50,tinterlace=interleave_top"
    made = {
        "film.mkv": "-map 0:v -map 0:a -map 0:v -c copy",
        "film.ts": "-c copy",
        "film.vob": "-c:v mpeg2video -q:v 3 -c:a mp2 -f vob",
        "dvd.mpg": f"-vf {fields} -c:v mpeg2video -q:v 3 -flags +ilme+ildct -c:a mp2",
    }
    for name, options in made.items():
        command = ["ffmpeg", "-v", "error", "-nostdin", "-i", "film.mp4", *options.split(), name]
        subprocess.run(command, cwd=folder, check=True, timeout=60)
    for name in ("in.mkv", "small.mp4"):
        shutil.copy(folder / f"film{Path(name).suffix}", folder / name)
    pixels, _ = pixel_art(np.random.default_rng(3), 640, 360)
    write_clip(folder / "game.mp4", [np.ascontiguousarray(pixels[:, :, ::-1])] * 3, rate=25)
    for place in ("videos/one.mp4", "videos/part/two.mp4", "inbox/new.mp4"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "film.mp4", folder / place)
    (folder / "list.txt").write_text("film.mp4\npicture.png\n")


def _pictures(folder: Path, painting: NDArray[np.uint8]) -> None:
    blocks = np.ascontiguousarray(pixelate(painting[:360, :640], block_px=4)[:, :, ::-1])
    for name in ("picture.png", "screenshot.png", "shot.png", "scan.tiff", "photo.avif"):
        assert cv2.imwrite(str(folder / name), blocks)
    (folder / "frames").mkdir()
    for number in range(1, 5):
        assert cv2.imwrite(str(folder / "frames" / f"{number:05d}.png"), blocks)
        assert cv2.imwrite(str(folder / "frames" / f"{number:05d}.tif"), blocks)
    command = "ffmpeg -v error -nostdin -i film.mp4 -vf scale=160:90 -frames:v 4 cat.gif"
    subprocess.run(command.split(), cwd=folder, check=True, timeout=60)


def _models(folder: Path) -> None:
    if find_spec("spandrel") is None:
        pytest.skip("DOCUMENTATION NOT RUN: spandrel is not installed: pip install 'deepclarity[models]'")
    from tests.models.external.models import network, save

    (folder / "models").mkdir()
    model = network("compact", scale=4)
    for name in ("models/4x-Any.safetensors", "models/4x-Any.pth", "4x-Any.pth"):
        save(folder / name, model)
    save(folder / "models" / "2x-Any.pth", network("compact", scale=2))
    assert run(["export", "turbo", "--scale", "2", "-o", str(folder / "models" / "2x-Any.onnx")]) == 0


@pytest.fixture
def place(examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the examples, which is the working directory."""
    folder = tmp_path / "page"
    shutil.copytree(examples, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", f"{examples / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return folder
