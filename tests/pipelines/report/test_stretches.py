"""Stretches: what was done to which frames of a video, and why."""

from __future__ import annotations

from deepclarity.models.verdict import Kind
from deepclarity.pipelines.records import FrameRecord, Lane
from deepclarity.pipelines.report.report import Report
from deepclarity.pipelines.report.stretches import Treatment
from deepclarity.stream.segments.splice import CopyCounts


def record(index: int, kind: Kind, lane: Lane, block_px: float | None = None) -> FrameRecord:
    return FrameRecord(index, index / 25, 0.5, Kind.CLEAN, block_px, lane, steady_kind=kind)


def test_neighbours_of_one_treatment_kind_and_reason_are_one_stretch() -> None:
    report = Report()
    for index in range(10):
        report.add(record(index, Kind.CLEAN, Lane.PASS))
    for index in range(10, 14):
        report.add(record(index, Kind.PIXELATED, Lane.ENHANCE, 4.0 + (index == 10)))
    for index in range(14, 16):
        report.add(record(index, Kind.BLOCKY, Lane.ENHANCE))
    report.add(record(16, Kind.CLEAN, Lane.PASS))
    report.mark_copied([(0, 7)])
    report.mark_encoded([(8, 16, "segments with repaired frames")])
    found = report.stretches()
    assert [(each.treatment, each.kind, each.first_frame, each.last_frame) for each in found] == [
        (Treatment.COPIED, Kind.CLEAN, 0, 7),
        (Treatment.PASSED, Kind.CLEAN, 8, 9),
        (Treatment.REPAIRED, Kind.PIXELATED, 10, 13),
        (Treatment.REPAIRED, Kind.BLOCKY, 14, 15),
        (Treatment.PASSED, Kind.CLEAN, 16, 16),
    ]
    assert [each.reason for each in found] == ["", *["segments with repaired frames"] * 4]
    assert [each.block_px for each in found] == [None, None, 4.0, None, None]
    assert (found[0].start_s, found[0].end_s, found[-1].end_s) == (0.0, 0.32, 0.68)
    assert sum(each.frames for each in found) == len(report)


def test_a_video_without_frames_has_no_stretches() -> None:
    report = Report()
    report.mark_encoded([(0, -1, "the size changes")])
    assert report.stretches() == []


def test_frames_that_were_encoded_anew_are_counted_by_reason() -> None:
    counts = CopyCounts()
    counts.add(0, 4)
    counts.encoded("damaged", 5, 5)
    counts.encoded("damaged", 6, 9)
    counts.encoded("repaired", 10, 10)
    counts.encoded("damaged", 11, 12)
    assert counts.encoded_ranges == [(5, 9, "damaged"), (10, 10, "repaired"), (11, 12, "damaged")]
    assert counts.reasons == {"damaged": 7, "repaired": 1}
    assert counts.copied == 5
