"""A report says what happened to every frame, in a file that stands on its own."""

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
from deepclarity.pipelines.report.report import KEEP, Comparison, Report


def frame(index: int, score: float, *, fps: float = 25.0, repaired: bool | None = None) -> FrameRecord:
    bad = score > 0.5 if repaired is None else repaired
    kind, lane = (Kind.PIXELATED, Lane.ENHANCE) if bad else (Kind.CLEAN, Lane.PASS)
    return FrameRecord(index, index / fps, score, kind, 4.0 if bad else None, lane)


def pair(record: FrameRecord) -> Comparison:
    after = np.random.default_rng(record.index).integers(0, 256, (36, 64, 3), np.uint8)
    return Comparison(record.index, record.time_s, record.score, pixelate(after, block_px=4), after)


def run(scores: list[float], **summary: Any) -> tuple[Report, Summary]:
    """A whole run at 25 frames a second; frames above 0.5 are repaired."""
    report = Report()
    for index, score in enumerate(scores):
        report.add(frame(index, score))
        if report.wants(frame(index, score)):
            report.compare(pair(frame(index, score)))
    repaired = sum(score > 0.5 for score in scores)
    total = len(scores)
    known = {"source": "clip.mp4", "frames_out": total, "repaired": repaired, "passed": total - repaired}
    return report, Summary(**(known | summary))


def page_of(report: Report, summary: Summary, folder: Path) -> tuple[str, dict[str, Any]]:
    """The page's text, and the data inside it."""
    report.write(folder / "page.html", summary)
    page = (folder / "page.html").read_text("utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return page, json.loads(found[1])


def kept(report: Report, folder: Path) -> list[tuple[float, float]]:
    """Time and score of the pictures on the page."""
    _, data = page_of(report, Summary(frames_out=len(report)), folder)
    return [(p["time_s"], p["score"]) for p in data["pictures"]]


def test_json_holds_every_frame_and_every_sum(tmp_path: Path) -> None:
    report, summary = run([0.1234567, 0.9], elapsed_s=4.0, stage_s={"decode": 1.5})
    report.write(tmp_path / "run.json", summary)
    data = json.loads((tmp_path / "run.json").read_text("utf-8"))
    assert list(data) == ["frames", "ranges", "summary"]
    clean = {"index": 0, "time_s": 0.0, "score": 0.1235, "kind": "clean", "block_px": None, "lane": "pass"}
    fixed = {
        "index": 1,
        "time_s": 0.04,
        "score": 0.9,
        "kind": "pixelated",
        "block_px": 4.0,
        "lane": "enhance",
    }
    assert data["frames"] == [clean, fixed]
    assert data["summary"] == dataclasses.asdict(summary) | {"frames_per_s": 0.5}
    assert list(tmp_path.iterdir()) == [tmp_path / "run.json"]


def test_an_empty_run_still_gives_both_reports(tmp_path: Path) -> None:
    page, data = page_of(Report(), Summary(), tmp_path)
    assert "No frame came through." in page
    assert data["timeline"]["start"] == data["ranges"] == data["pictures"] == []
    Report().write(tmp_path / "run.json", Summary())
    assert json.loads((tmp_path / "run.json").read_text())["frames"] == []


def test_ranges_join_neighbours_and_end_where_the_next_frame_begins() -> None:
    report, _ = run([0.9, 0.1, 0.8, 0.9, 0.7, 0.1, 0.9])
    spans = [(r["first_frame"], r["last_frame"], r["start_s"], r["end_s"]) for r in report.ranges()]
    assert spans == [(0, 0, 0.0, 0.04), (2, 4, 0.08, 0.2), (6, 6, 0.24, 0.28)]


def test_a_range_names_the_median_block_or_none() -> None:
    report = Report()
    for index, block in enumerate((3.0, 4.0, 4.0, None)):
        report.add(FrameRecord(index, index / 25, 0.9, Kind.PIXELATED, block, Lane.ENHANCE))
    report.add(frame(4, 0.1))
    report.add(FrameRecord(5, 0.2, 0.1, Kind.CLEAN, None, Lane.ENHANCE))
    assert [r["block_px"] for r in report.ranges()] == [4.0, None]


def test_the_worst_frames_are_kept_few_and_apart(tmp_path: Path) -> None:
    peaks = {3.0: 0.99, 7.0: 0.9, 12.0: 0.95, 20.0: 0.85, 21.2: 0.93, 30.0: 0.88, 33.0: 0.97, 39.0: 0.8}
    report, _ = run([peaks.get(i / 25, 0.6) for i in range(1000)])
    highest = sorted(peaks.items(), key=lambda peak: -peak[1])[:KEEP]
    assert kept(report, tmp_path) == sorted(highest)


def test_a_run_that_is_bad_throughout_shows_all_of_it(tmp_path: Path) -> None:
    report, _ = run([1.0] * 3000)
    times = [time_s for time_s, _ in kept(report, tmp_path)]
    assert len(times) == KEEP
    assert times[-1] - times[0] > 60  # of 120 s, not just its first six
    assert np.diff(times).min() >= 1


def test_a_frame_that_was_not_repaired_is_never_wanted() -> None:
    assert not Report().wants(frame(0, 0.99, repaired=False))
    assert Report().wants(frame(0, 0.2, repaired=True))


def test_pictures_are_shrunk_to_a_screen(tmp_path: Path) -> None:
    report, large = Report(), np.zeros((600, 4000, 3), np.uint8)
    report.compare(Comparison(0, 0.0, 0.9, large, large))
    _, data = page_of(report, Summary(), tmp_path)
    for name, width in (("before", 1920), ("after", 1920), ("thumb", 240)):
        coded = np.frombuffer(_bytes(data["pictures"][0][name]), np.uint8)
        assert cv2.imdecode(coded, cv2.IMREAD_COLOR).shape[1] == width


def _bytes(url: str) -> bytes:
    assert url.startswith("data:image/jpeg;base64,")
    return base64.b64decode(url.partition(",")[2])


def test_the_page_asks_nothing_of_anybody(tmp_path: Path) -> None:
    page, _ = page_of(*run([0.1] * 5 + [0.9] * 5), tmp_path)
    assert not re.search(r"https?://|\bsrc=|<link|@import|url\(|fetch\(|@@", page)
    assert "default-src 'none'" in page
    assert 'role="slider"' in page
    assert "prefers-color-scheme: dark" in page


def test_the_headline_is_a_sentence(tmp_path: Path) -> None:
    page, data = page_of(*run([0.9] * 50 + [0.1] * 100), tmp_path)
    assert "<h1>50 of 150 frames were pixelated and repaired; 100 went through untouched.</h1>" in page
    assert len(data["pictures"]) == 2
    page, _ = page_of(*run([0.9, 0.1, 0.1], passed=0, resized=2), tmp_path)
    assert "1 of 3 frames was pixelated and repaired; 2 only resized." in page


def test_nothing_repaired_is_said_and_a_way_out_is_named(tmp_path: Path) -> None:
    page, data = page_of(*run([0.1] * 150), tmp_path)
    assert "Nothing was repaired: none of 150 frames was pixelated." in page
    assert "--all" in page
    assert data["pictures"] == []
    assert '<section id="compare" hidden>' in page


def test_failed_repairs_are_not_called_clean(tmp_path: Path) -> None:
    page, _ = page_of(*run([0.1] * 9, fallback=4, damaged=2), tmp_path)
    assert "4 of 9 frames should have been repaired and could only be resized." in page
    assert "The input is damaged: 2 packets" in page
    assert "none of" not in page


@pytest.mark.parametrize("name", ["</script><script>alert(1)</script>.mp4", '"><img src=x>&.mp4', "<!--@@DATA@@.mp4"])
def test_a_hostile_file_name_stays_a_name(name: str, tmp_path: Path) -> None:
    name = name.replace("/", "\\")
    page, data = page_of(*run([0.9], source=name), tmp_path)
    assert dict(data["numbers"])["Source"] == name
    assert name not in page
    assert page.count("<script") == 2
    assert page.count("<!--") == 0


def test_a_closing_tag_in_a_folder_name_does_not_end_the_script(tmp_path: Path) -> None:
    _, data = page_of(*run([0.9], source="/films/</script>/a.mp4"), tmp_path)
    assert dict(data["numbers"])["Source"] == "/films/</script>/a.mp4"


def test_names_that_are_not_text_and_addresses_with_passwords(tmp_path: Path) -> None:
    report, summary = run([0.9], source="rtsp://me:secret@cam-1/main", output="caf\udce9.mp4")
    report.write(tmp_path / "run.json", summary)
    data = json.loads((tmp_path / "run.json").read_text("utf-8"))
    assert data["summary"]["source"] == "rtsp://***@cam-1/main"
    assert data["summary"]["output"] == "caf\udce9.mp4"
    assert "secret" not in page_of(report, summary, tmp_path)[0]


def test_many_frames_make_a_light_page_that_hides_no_peak(tmp_path: Path) -> None:
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
def test_an_unwritable_place_is_one_clear_line(name: str, tmp_path: Path) -> None:
    report, summary = run([0.9])
    with pytest.raises(OutputError, match=rf"missing.{re.escape(name)}: cannot write the report: No such file"):
        report.write(tmp_path / "missing" / name, summary)
    (tmp_path / name).mkdir()
    with pytest.raises(OutputError, match="cannot write the report"):
        report.write(tmp_path / name, summary)
    assert list(tmp_path.iterdir()) == [tmp_path / name]


def test_a_failed_write_leaves_the_old_report_alone(tmp_path: Path) -> None:
    report, summary = run([0.9])
    report.write(tmp_path / "run.json", summary)
    old = (tmp_path / "run.json").read_bytes()
    summary.source = object()  # type: ignore[assignment]
    with pytest.raises(TypeError):
        report.write(tmp_path / "run.json", summary)
    assert (tmp_path / "run.json").read_bytes() == old
    assert list(tmp_path.iterdir()) == [tmp_path / "run.json"]


def test_an_unknown_ending_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.html or \.json"):
        Report().write(tmp_path / "run.pdf", Summary())
    Report().write(tmp_path / "RUN.HTM", Summary())
    assert (tmp_path / "RUN.HTM").exists()
