"""`evaluate detector`: its figures, on verdicts made up for the purpose, and the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deepclarity.cli.app import run
from deepclarity.models.verdict import Blocks, Chroma, Kind, Plane, Verdict
from deepclarity.pipelines.datasets.detector_dataset import Sample
from deepclarity.pipelines.evaluation.detector import row_of
from deepclarity.pipelines.evaluation.detector_scores import (
    Row,
    Share,
    area_under,
    by_factor,
    cells,
    confusion,
    figures,
    phase_error_px,
    roc,
    size_error,
)
from deepclarity.stream.files.still import Picture, read_picture, write_picture
from tests.commands import expect_error
from tests.conftest import Rgb

Capture = pytest.CaptureFixture[str]
PIXELATED, CLEAN = Kind.PIXELATED, Kind.CLEAN


def row(truth: Kind, said: Kind, score: float = 0.5, **cell: str) -> Row:
    return Row("video", 0, "made up", truth, said, score, cell)


class Constant:
    """A detector that says the same of everything."""

    name = "constant"

    def __init__(self, verdict: Verdict) -> None:
        self._verdict = verdict

    def __call__(self, luma: Plane, *, max_value: int = 255, chroma: Chroma | None = None) -> Verdict:
        return self._verdict


def test_shares_have_a_wilson_interval() -> None:
    assert Share(8, 10).interval == pytest.approx((0.4902, 0.9433), abs=1e-3)
    assert Share(0, 10).interval == pytest.approx((0, 0.2775), abs=1e-3)
    assert Share(0, 0).interval == (0, 1)
    assert Share(0, 0).value is None


def test_metrics_of_a_known_confusion_table() -> None:
    rows = [
        *[row(PIXELATED, PIXELATED)] * 8,
        *[row(PIXELATED, Kind.SOFT)] * 2,
        *[row(CLEAN, PIXELATED)] * 1,
        *[row(Kind.MOSAIC, CLEAN)] * 9,
    ]
    found = figures(rows)
    assert found.recall == Share(8, 10)
    assert found.precision == Share(8, 9)
    assert found.accuracy == Share(17, 20)
    assert found.false_positives == Share(1, 10)
    assert found.f1 == pytest.approx(16 / 19)
    low, high = found.f1_interval
    assert low < 16 / 19 < high
    assert confusion(rows)["pixelated"] == {
        "clean": 0,
        "pixelated": 8,
        "soft": 2,
        "blocky": 0,
        "mosaic": 0,
        "pixel-art": 0,
    }
    assert confusion(rows)["mosaic"]["clean"] == 9


def test_cells_are_counted_separately_per_condition() -> None:
    rows = [
        row(PIXELATED, PIXELATED, extras="grain+overlay"),
        row(PIXELATED, CLEAN, extras="grain"),
        row(CLEAN, CLEAN, extras="overlay"),
        row(CLEAN, PIXELATED),
    ]
    assert cells(rows, by_factor("extras")) == {
        "grain": (Share(1, 2), Share(0, 0)),
        "overlay": (Share(1, 1), Share(0, 1)),
    }
    by_size = cells([row(CLEAN, CLEAN, factor=name) for name in ("16", "2.5", "2")], by_factor("factor"))
    assert list(by_size) == ["2", "2.5", "16"]


def test_roc_auc_of_perfect_inverted_and_constant_scores() -> None:
    truths = [PIXELATED, PIXELATED, CLEAN, CLEAN]
    good = [row(truth, CLEAN, score) for truth, score in zip(truths, (0.9, 0.8, 0.2, 0.1), strict=True)]
    assert roc(good) == [(0, 0), (0, 0.5), (0, 1), (0.5, 1), (1, 1)]
    assert area_under(roc(good)) == 1
    assert area_under(roc([replace(each, score=1 - each.score) for each in good])) == 0
    assert roc([replace(each, score=0.3) for each in good]) == [(0, 0), (1, 1)]
    assert roc(good[:2]) == []


def test_lattices_are_compared_near_the_picture_centre() -> None:
    true = Blocks(4, 4, 1, 3)
    assert size_error(true, Blocks(4.04, 3.9, 0, 0)) == pytest.approx(0.025)
    assert phase_error_px(true, Blocks(4, 4, 1, 3), (400, 300)) == 0
    assert phase_error_px(true, Blocks(4, 4, 2, 3), (400, 300)) == pytest.approx(1)
    assert phase_error_px(true, Blocks(4, 4, 1 + 40, 3 - 40), (400, 300)) == pytest.approx(0)
    drifting = Blocks(4.01, 4, 1, 3)
    assert phase_error_px(true, drifting, (1, 300)) == pytest.approx(0)
    assert phase_error_px(true, drifting, (401, 300)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("found", "sized", "placed"),
    [
        (Blocks(4, 4, 1, 0), 1, 1),
        (Blocks(4, 4, 2, 0), 1, 0),
        (Blocks(8, 8, 1, 0), 0, 0),
        (None, 0, 0),
    ],
)
def test_true_positive_records_its_lattice(found: Blocks | None, sized: int, placed: int) -> None:
    planes = np.zeros((90, 160), np.uint8), np.zeros((45, 80), np.uint8), np.zeros((45, 80), np.uint8)
    sample = Sample(planes, PIXELATED, Blocks(4, 4, 1, 0), None, {})
    made = figures([row_of(sample, Constant(Verdict(0.9, PIXELATED, found)), protocol="video", index=0)])
    assert (made.size, made.phase) == (Share(sized, 1), Share(placed, 1))


@pytest.fixture
def photos(tmp_path: Path, painting: Rgb, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three photos, one a split, and pictures that are made quickly."""
    monkeypatch.setattr("deepclarity.pipelines.datasets.detector_dataset.SIZES", {(160, 90): 1})
    monkeypatch.setattr("deepclarity.pipelines.datasets.detector_dataset.FULL_HD", (320, 180))
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(3):
        piece = painting[:400, 400 * number : 400 * number + 480, ::-1]
        write_picture(folder / f"{number}.png", Picture(np.ascontiguousarray(piece)))
    return folder


def test_evaluate_command_prints_tables_and_writes_all_files(photos: Path, tmp_path: Path, capsys: Capture) -> None:
    out, curves = tmp_path / "out.json", tmp_path / "roc.png"
    command = ["evaluate", "detector", "--data", str(photos), "--method", "grid", "--count", "20"]
    assert run([*command, "--json", str(out), "--picture", str(curves)]) == 0
    said = capsys.readouterr()
    assert "published: 0 of 20 pictures" in said.err
    assert all(words in said.out for words in ("published:", "video:", "recall", "F1", "false positives", "uncoded"))
    written = json.loads(out.read_text())
    assert written["protocols"]["published"]["grid"]["recall"] == {
        "share": 1.0, "low": pytest.approx(0.722, abs=1e-3), "high": 1.0, "hits": 10, "of": 10,
    }  # fmt: skip
    assert written["protocols"]["video"]["grid"]["cells"]["class"]["pixelated"]["recall"]["of"] == 10
    assert len(written["rows"]) == 40
    assert read_picture(curves).pixels.shape[1] > 1000  # two subplots


def test_same_seed_gives_the_same_results(photos: Path, capsys: Capture) -> None:
    command = ["evaluate", "detector", "--data", str(photos), "--protocol", "video", "--count", "12", "-q"]
    reports = []
    for seed in ("1", "1", "2"):
        assert run([*command, "--seed", seed]) == 0
        reports.append(capsys.readouterr())
    assert reports[0] == reports[1] != reports[2]
    assert reports[0].err == ""


def test_invalid_input_raises_one_line_error(photos: Path, capfd: Capture) -> None:
    def said(*arguments: str | Path) -> str:
        return expect_error(capfd, photos, "evaluate", "detector", *arguments)

    assert "no such folder" in said("--data", photos / "nowhere")
    assert "did you mean 'grid'" in said("--data", photos, "--method", "girds")
    assert "no such folder" in said("--data", photos, "--json", photos / "nowhere" / "out.json")
    assert ".txt" in said("--data", photos, "--picture", photos / "roc.txt")
    assert "count" in said("--data", photos, "--count", "0")
