"""`detect --explain`: a picture of the evidence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deepclarity.cli.app import run
from deepclarity.models.verdict import Chroma, Kind, Plane, Verdict
from deepclarity.pipelines.demo.scene import pixelate
from deepclarity.pipelines.report.explain import explain
from deepclarity.stream.files.still import Picture, read_picture, write_picture
from tests.clips import refused
from tests.conftest import MakeClip, Rgb

Capture = pytest.CaptureFixture[str]


class Counting:
    """Calls the picture pixelated from its n-th look on."""

    name = "counting"

    def __init__(self, first: int) -> None:
        self.looks = 0
        self._first = first

    def __call__(self, luma: Plane, *, max_value: int = 255, chroma: Chroma | None = None) -> Verdict:
        self.looks += 1
        found = self.looks >= self._first
        return Verdict(0.9, Kind.PIXELATED) if found else Verdict(0.1)


@pytest.fixture
def part(tmp_path: Path, painting: Rgb) -> Path:
    """A picture of which three quarters, on the left, are in blocks of five pixels."""
    picture = painting.copy()
    picture[:, :960] = pixelate(painting, block_px=5)[:, :960]
    path = tmp_path / "part.png"
    write_picture(path, Picture(np.ascontiguousarray(picture[..., ::-1])))
    return path


def test_a_picture_is_explained_and_told(part: Path, capsys: Capture) -> None:
    out = part.with_name("why.png")
    assert run(["detect", str(part), "--explain", str(out)]) == 0
    assert "part.png: pixelated" in capsys.readouterr().out
    drawn = read_picture(out).pixels
    heat = drawn[100:300, drawn.shape[1] // 2 + 20 : -20].astype(float)
    left, right = heat[:, : heat.shape[1] // 2], heat[:, -heat.shape[1] // 5 :]
    assert left.mean() > 1.3 * right.mean()


def test_of_a_video_the_first_pixelated_frame_is_shown(make_clip: MakeClip) -> None:
    clip, detector = make_clip(count=12, size=(160, 90)), Counting(first=5)
    explain(clip, detector)
    assert detector.looks == 5


def test_a_clean_video_is_explained_as_well(make_clip: MakeClip) -> None:
    clip, detector = make_clip(count=4, size=(160, 90)), Counting(first=99)
    assert explain(clip, detector).pixels.ndim == 3
    assert detector.looks == 4


def test_a_flat_picture_and_sixteen_bits_are_drawn(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    write_picture(path, Picture(np.full((90, 160, 3), 40_000, np.uint16)))
    assert explain(path, Counting(first=99)).pixels.dtype == np.uint8


def test_what_cannot_be_explained_is_refused(part: Path, capfd: Capture) -> None:
    folder, out = part.parent, part.with_name("why.png")
    speck = folder / "speck.png"
    write_picture(speck, Picture(np.zeros((4, 4, 3), np.uint8)))

    def said(*arguments: str | Path, target: Path = out) -> str:
        return refused(capfd, folder, "detect", *arguments, "--explain", target)

    assert "one PATH, not 2" in said(part, part)
    assert "a folder" in said(folder)
    assert "no such file" in said(folder / "none.png")
    assert "too few" in said(speck)
    assert "no such folder" in said(part, target=folder / "nowhere" / "why.png")
    assert ".txt" in said(part, target=folder / "why.txt")
    assert "is the picture itself" in said(part, target=part)
