"""The timeline of a repaired video."""

from __future__ import annotations

import pytest

from deepclarity.models.verdict import Kind
from deepclarity.pipelines.report.stretches import Stretch, Treatment
from deepclarity.web.errors import RefusedError
from deepclarity.web.jobs import VideoOptions
from deepclarity.web.pages.timeline import timeline, why


def stretch(
    treatment: Treatment, kind: Kind, span: tuple[int, int], *, reason: str = "", block: float | None = None
) -> Stretch:
    first, last = span
    return Stretch(treatment, kind, reason, first, last, first / 25, (last + 1) / 25, block)


def test_every_stretch_is_listed_with_its_reason() -> None:
    stretches = [
        stretch(Treatment.COPIED, Kind.CLEAN, (0, 24)),
        stretch(Treatment.REPAIRED, Kind.PIXELATED, (25, 49), block=4.0),
        stretch(Treatment.REPAIRED, Kind.BLOCKY, (50, 50)),
        stretch(Treatment.PASSED, Kind.SOFT, (51, 99), reason="segments with repaired frames"),
    ]
    assert [why(each) for each in stretches] == [
        "Nothing to repair: the packets are the source's, byte for byte",
        "Pixelated, in blocks of 4 px",
        "Blocky, coded with too few bits",
        "Soft, enlarged from a smaller picture, and left as it is; encoded anew (segments with repaired frames)",
    ]
    page = timeline(stretches)
    assert page.count("<tr>") == 1 + len(stretches)
    assert "data-at='1.000'>0:01.00 – 0:02.00<" in page
    assert "Repaired: blocky: 1 frames" in page


def test_a_video_of_very_many_stretches_has_a_small_page_that_shows_every_repair() -> None:
    repaired, resized = (Treatment.REPAIRED, Kind.PIXELATED), (Treatment.RESIZED, Kind.CLEAN)
    kinds = [repaired if number % 50 == 7 else resized for number in range(36_000)]
    many = [stretch(*kind, (number, number)) for number, kind in enumerate(kinds)]
    page = timeline(many)
    assert len(page) < 120_000
    assert page.count("dc-t-repaired-pixelated' data-at") >= 1
    assert "And 35,900 more stretches" in page
    assert timeline([]) == ""


def test_markup_in_a_reason_is_shown_as_text() -> None:
    assert "<script>" not in timeline([stretch(Treatment.PASSED, Kind.CLEAN, (0, 1), reason="<script>")])


@pytest.mark.parametrize("repair", ["", "all", "pixelated,nonsense", [], ["pixelated", 5], None, 7, "damaged"])
def test_kinds_that_cannot_be_repaired_are_refused(repair: object) -> None:
    with pytest.raises(RefusedError, match="Choose what to repair: one or more of pixelated, blocky, soft"):
        VideoOptions.parse("auto", False, True, "mp4", repair=repair)


def test_kinds_are_given_as_text_or_as_a_list() -> None:
    assert VideoOptions.parse("auto", False, True, "mp4", repair="soft, pixelated").repair == "soft,pixelated"
    assert VideoOptions.parse("auto", False, True, "mp4", repair=["blocky", "blocky"]).repair == "blocky"
    assert VideoOptions.parse("auto", False, True, "mp4").repair == "pixelated,blocky"
