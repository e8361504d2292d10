"""Reports: JSON and a self-contained HTML page with a record of every frame."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from deepclarity.errors import OutputError, UsageError
from deepclarity.models.verdict import Kind
from deepclarity.pipelines.demo.scene import pixelate
from deepclarity.pipelines.records import FrameRecord, Lane, Summary
from deepclarity.pipelines.report.report import MAX_COMPARISONS, Comparison, Report


def frame(index: int, score: float, *, fps: float = 25.0, repaired: bool | None = None) -> FrameRecord:
    pixelated = score > 0.5 if repaired is None else repaired
    kind, lane = (Kind.PIXELATED, Lane.ENHANCE) if pixelated else (Kind.CLEAN, Lane.PASS)
    return FrameRecord(index, index / fps, score, kind, 4.0 if pixelated else None, lane)


def pair(record: FrameRecord) -> Comparison:
    after = np.random.default_rng(record.index).integers(0, 256, (36, 64, 3), np.uint8)
    return Comparison(record.index, record.time_s, record.score, pixelate(after, block_px=4), after)


def run(scores: list[float], **summary: Any) -> tuple[Report, Summary]:
    """A run at 25 frames per second; frames with a score above 0.5 are repaired."""
    report = Report()
    for index, score in enumerate(scores):
        report.add(frame(index, score))
        if report.would_keep(frame(index, score)):
            report.add_comparison(pair(frame(index, score)))
    repaired = sum(score > 0.5 for score in scores)
    total = len(scores)
    defaults = {"source": "clip.mp4", "frames_out": total, "repaired": repaired, "passed": total - repaired}
    return report, Summary(**(defaults | summary))


def page_of(report: Report, summary: Summary, folder: Path) -> tuple[str, dict[str, Any]]:
    """The page's text, and the data inside it."""
    report.write(folder / "page.html", summary)
    page = (folder / "page.html").read_text("utf-8")
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert match
    return page, json.loads(match[1])


def kept_pictures(report: Report, folder: Path) -> list[tuple[float, float]]:
    """Time and score of the pictures on the page."""
    _, data = page_of(report, Summary(frames_out=len(report)), folder)
    return [(p["time_s"], p["score"]) for p in data["pictures"]]


def test_json_contains_every_frame_and_the_summary(tmp_path: Path) -> None:
    report, summary = run([0.1234567, 0.9], elapsed_s=4.0, stage_s={"decode": 1.5})
    report.write(tmp_path / "run.json", summary)
    data = json.loads((tmp_path / "run.json").read_text("utf-8"))
    assert list(data) == ["frames", "ranges", "summary"]
    clean = {
        "index": 0,
        "time_s": 0.0,
        "score": 0.1235,
        "kind": "clean",
        "block_px": None,
        "lane": "pass",
        "severity": None,
        "copied": False,
    }
    fixed = {
        "index": 1,
        "time_s": 0.04,
        "score": 0.9,
        "kind": "pixelated",
        "block_px": 4.0,
        "lane": "enhance",
        "severity": None,
        "copied": False,
    }
    assert data["frames"] == [clean, fixed]
    assert data["summary"] == dataclasses.asdict(summary) | {"frames_per_s": 0.5}
    assert list(tmp_path.iterdir()) == [tmp_path / "run.json"]


def test_run_without_frames_writes_both_reports(tmp_path: Path) -> None:
    page, data = page_of(Report(), Summary(), tmp_path)
    assert "No frames were written." in page
    assert data["timeline"]["start"] == data["ranges"] == data["pictures"] == []
    Report().write(tmp_path / "run.json", Summary())
    assert json.loads((tmp_path / "run.json").read_text())["frames"] == []


def test_ranges_join_consecutive_frames_and_end_at_the_next_frame() -> None:
    report, _ = run([0.9, 0.1, 0.8, 0.9, 0.7, 0.1, 0.9])
    spans = [(r["first_frame"], r["last_frame"], r["start_s"], r["end_s"]) for r in report.ranges()]
    assert spans == [(0, 0, 0.0, 0.04), (2, 4, 0.08, 0.2), (6, 6, 0.24, 0.28)]


def test_range_block_size_is_the_median_or_none() -> None:
    report = Report()
    for index, block in enumerate((3.0, 4.0, 4.0, None)):
        report.add(FrameRecord(index, index / 25, 0.9, Kind.PIXELATED, block, Lane.ENHANCE))
    report.add(frame(4, 0.1))
    report.add(FrameRecord(5, 0.2, 0.1, Kind.CLEAN, None, Lane.ENHANCE))
    assert [r["block_px"] for r in report.ranges()] == [4.0, None]


def test_comparisons_are_the_worst_frames_at_a_minimum_distance(tmp_path: Path) -> None:
    peaks = {3.0: 0.99, 7.0: 0.9, 12.0: 0.95, 20.0: 0.85, 21.2: 0.93, 30.0: 0.88, 33.0: 0.97, 39.0: 0.8}
    report, _ = run([peaks.get(i / 25, 0.6) for i in range(1000)])
    highest = sorted(peaks.items(), key=lambda peak: -peak[1])[:MAX_COMPARISONS]
    assert kept_pictures(report, tmp_path) == sorted(highest)


def test_comparisons_spread_over_a_run_of_equal_scores(tmp_path: Path) -> None:
    report, _ = run([1.0] * 3000)
    times = [time_s for time_s, _ in kept_pictures(report, tmp_path)]
    assert len(times) == MAX_COMPARISONS
    assert times[-1] - times[0] > 60  # of 120 s, so not just the first six
    assert np.diff(times).min() >= 1


def test_only_repaired_frames_are_kept_as_comparisons() -> None:
    assert not Report().would_keep(frame(0, 0.99, repaired=False))
    assert Report().would_keep(frame(0, 0.2, repaired=True))


def test_pictures_are_downscaled_to_the_maximum_size(tmp_path: Path) -> None:
    report, large = Report(), np.zeros((600, 4000, 3), np.uint8)
    report.add_comparison(Comparison(0, 0.0, 0.9, large, large))
    _, data = page_of(report, Summary(), tmp_path)
    for name, width in (("before", 1920), ("after", 1920), ("thumb", 240)):
        encoded = np.frombuffer(_bytes(data["pictures"][0][name]), np.uint8)
        assert cv2.imdecode(encoded, cv2.IMREAD_COLOR).shape[1] == width


def _bytes(url: str) -> bytes:
    assert url.startswith("data:image/jpeg;base64,")
    return base64.b64decode(url.partition(",")[2])


def test_page_is_self_contained(tmp_path: Path) -> None:
    page, _ = page_of(*run([0.1] * 5 + [0.9] * 5), tmp_path)
    assert not re.search(r"https?://|\bsrc=|<link|@import|url\(|fetch\(|@@", page)
    assert "default-src 'none'" in page
    assert 'role="slider"' in page
    assert "prefers-color-scheme: dark" in page


def test_headline(tmp_path: Path) -> None:
    page, data = page_of(*run([0.9] * 50 + [0.1] * 100), tmp_path)
    assert "<h1>50 of 150 frames were repaired; 100 went through untouched.</h1>" in page
    assert len(data["pictures"]) == 2
    page, _ = page_of(*run([0.9, 0.1, 0.1], passed=0, resized=2), tmp_path)
    assert "1 of 3 frames was repaired; 2 only resized." in page


def test_headline_without_repairs_suggests_all(tmp_path: Path) -> None:
    page, data = page_of(*run([0.1] * 150), tmp_path)
    assert "Nothing was repaired: none of 150 frames needed it." in page
    assert "--all" in page
    assert data["pictures"] == []
    assert '<section id="compare" hidden>' in page


def test_headline_counts_failed_repairs(tmp_path: Path) -> None:
    page, _ = page_of(*run([0.1] * 9, fallback=4, damaged=2), tmp_path)
    assert "4 of 9 frames should have been repaired and could only be resized." in page
    assert "The input is damaged: 2 packets" in page
    assert "none of" not in page


@pytest.mark.parametrize("name", ["</script><script>alert(1)</script>.mp4", '"><img src=x>&.mp4', "<!--@@DATA@@.mp4"])
def test_html_in_a_file_name_is_escaped(name: str, tmp_path: Path) -> None:
    name = name.replace("/", "\\")
    page, data = page_of(*run([0.9], source=name), tmp_path)
    assert dict(data["numbers"])["Source"] == name
    assert name not in page
    assert page.count("<script") == 2
    assert page.count("<!--") == 0


def test_closing_script_tag_in_a_path_is_escaped(tmp_path: Path) -> None:
    _, data = page_of(*run([0.9], source="/films/</script>/a.mp4"), tmp_path)
    assert dict(data["numbers"])["Source"] == "/films/</script>/a.mp4"


def test_non_utf8_names_are_kept_and_passwords_are_removed(tmp_path: Path) -> None:
    report, summary = run([0.9], source="rtsp://me:secret@cam-1/main", output="caf\udce9.mp4")
    report.write(tmp_path / "run.json", summary)
    data = json.loads((tmp_path / "run.json").read_text("utf-8"))
    assert data["summary"]["source"] == "rtsp://***@cam-1/main"
    assert data["summary"]["output"] == "caf\udce9.mp4"
    assert "secret" not in page_of(report, summary, tmp_path)[0]


def test_timeline_of_many_frames_is_small_and_keeps_peaks(tmp_path: Path) -> None:
    report = Report()
    for index in range(40_000):
        report.add(frame(index, 0.97 if index == 23_456 else 0.1))
    page, data = page_of(report, Summary(frames_out=40_000, repaired=1), tmp_path)
    line = data["timeline"]
    assert len(page) < 150_000
    worst = line["high"].index(0.97)
    assert (line["frame"][worst], line["low"][worst], line["kind"][worst]) == (23_456, 0.1, "pixelated")
    assert sum(line["fixed"]) == 1


@pytest.mark.parametrize("name", ["run.json", "run.html"])
def test_unwritable_path_raises_output_error(name: str, tmp_path: Path) -> None:
    report, summary = run([0.9])
    with pytest.raises(OutputError, match=rf"missing.{re.escape(name)}: cannot write the report: No such file"):
        report.write(tmp_path / "missing" / name, summary)
    (tmp_path / name).mkdir()
    with pytest.raises(OutputError, match="cannot write the report"):
        report.write(tmp_path / name, summary)
    assert list(tmp_path.iterdir()) == [tmp_path / name]


def test_failed_write_keeps_the_old_report(tmp_path: Path) -> None:
    report, summary = run([0.9])
    report.write(tmp_path / "run.json", summary)
    old = (tmp_path / "run.json").read_bytes()
    summary.source = object()  # type: ignore[assignment]
    with pytest.raises(TypeError):
        report.write(tmp_path / "run.json", summary)
    assert (tmp_path / "run.json").read_bytes() == old
    assert list(tmp_path.iterdir()) == [tmp_path / "run.json"]


def test_unknown_suffix_names_the_supported_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.html or \.json"):
        Report().write(tmp_path / "run.pdf", Summary())
    Report().write(tmp_path / "RUN.HTM", Summary())
    assert (tmp_path / "RUN.HTM").exists()


def test_timeline_marks_damage_that_is_left(tmp_path: Path) -> None:
    report = Report()
    for index, kind in enumerate([Kind.CLEAN, Kind.BLOCKY, Kind.BLOCKY, Kind.DAMAGED]):
        report.add(dataclasses.replace(frame(index, 0.1), kind=kind))
    page, data = page_of(report, Summary(frames_out=4), tmp_path)
    assert data["timeline"]["left"] == ["", "blocky", "blocky", "damaged"]
    assert 'id="blocky-key"' in page
