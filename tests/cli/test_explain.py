"""`detect --explain`: a plot of the evidence for a verdict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deepclarity.cli.app import run
from deepclarity.models.verdict import Chroma, Kind, Plane, Verdict
from deepclarity.pipelines.demo.scene import pixelate
from deepclarity.pipelines.report.explain import explain
from deepclarity.stream.files.still import Picture, read_picture, write_picture
from tests.commands import expect_error
from tests.conftest import MakeClip, Rgb

Capture = pytest.CaptureFixture[str]


class CountingDetector:
    """Detector that counts its calls and returns "pixelated" from call `first` on."""

    name = "counting"

    def __init__(self, first: int) -> None:
        self.calls = 0
        self._first = first

    def __call__(self, luma: Plane, *, max_value: int = 255, chroma: Chroma | None = None) -> Verdict:
        self.calls += 1
        pixelated = self.calls >= self._first
        return Verdict(0.9, Kind.PIXELATED) if pixelated else Verdict(0.1)


@pytest.fixture
def partly_pixelated(tmp_path: Path, painting: Rgb) -> Path:
    """A picture whose left three quarters have blocks of 5 pixels."""
    picture = painting.copy()
    picture[:, :960] = pixelate(painting, block_px=5)[:, :960]
    path = tmp_path / "part.png"
    write_picture(path, Picture(np.ascontiguousarray(picture[..., ::-1])))
    return path


def test_detect_explain_writes_the_evidence_and_prints_the_verdict(partly_pixelated: Path, capsys: Capture) -> None:
    out = partly_pixelated.with_name("why.png")
    assert run(["detect", str(partly_pixelated), "--explain", str(out)]) == 0
    assert "part.png: pixelated" in capsys.readouterr().out
    drawn = read_picture(out).pixels
    below = (drawn.shape[0] - 250 - 32) // 2  # the second row, above the plots
    heat = drawn[below + 100 : below + 300, 20 : drawn.shape[1] // 2 - 20].astype(float)
    left, right = heat[:, : heat.shape[1] // 2], heat[:, -heat.shape[1] // 5 :]
    assert left.mean() > 1.3 * right.mean()


def test_explain_uses_the_first_pixelated_frame_of_a_video(make_clip: MakeClip) -> None:
    clip, detector = make_clip(count=12, size=(160, 90)), CountingDetector(first=5)
    explain(clip, detector)
    assert detector.calls == 5


def test_explain_works_for_a_clean_video(make_clip: MakeClip) -> None:
    clip, detector = make_clip(count=4, size=(160, 90)), CountingDetector(first=99)
    assert explain(clip, detector).pixels.ndim == 3
    assert detector.calls == 4


def test_explain_works_for_a_flat_16_bit_picture(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    write_picture(path, Picture(np.full((90, 160, 3), 40_000, np.uint16)))
    assert explain(path, CountingDetector(first=99)).pixels.dtype == np.uint8


def test_explain_refuses_invalid_arguments(partly_pixelated: Path, capfd: Capture) -> None:
    folder, out = partly_pixelated.parent, partly_pixelated.with_name("why.png")
    tiny = folder / "tiny.png"
    write_picture(tiny, Picture(np.zeros((4, 4, 3), np.uint8)))

    def stderr(*arguments: str | Path, target: Path = out) -> str:
        return expect_error(capfd, folder, "detect", *arguments, "--explain", target)

    assert "one PATH, not 2" in stderr(partly_pixelated, partly_pixelated)
    assert "a folder" in stderr(folder)
    assert "no such file" in stderr(folder / "none.png")
    assert "too few" in stderr(tiny)
    assert "no such folder" in stderr(partly_pixelated, target=folder / "nowhere" / "why.png")
    assert ".txt" in stderr(partly_pixelated, target=folder / "why.txt")
    assert "the output is the input" in stderr(partly_pixelated, target=partly_pixelated)
