"""Kinds by the picture alone: smooth enlargements, and macroblocks without a quantiser."""

from __future__ import annotations

import pytest

from deepclarity.models.load import load_enhancer
from deepclarity.models.quality.network import Quality
from deepclarity.models.verdict import Kind, Verdict
from deepclarity.pipelines.detect import Scored, classify
from deepclarity.pipelines.enhance import enhance
from deepclarity.pipelines.executor import CpuExecutor
from deepclarity.pipelines.fit import Fit
from deepclarity.pipelines.records import Lane, Summary
from deepclarity.pipelines.route import Routing, parse_repair, route
from deepclarity.stream.coding import Coding
from tests.pipelines.test_kinds import SIZE, frame


def test_soft_scene_is_repaired_everywhere_if_chosen() -> None:
    factors = (2.0, 2.0)
    verdict = Verdict(0.0, Kind.SOFT, severity=0.1, factors=factors)
    scored = [Scored(frame(number), verdict, cut=number == 0) for number in range(4)]
    for kinds, lane in (("soft", Lane.ENHANCE), ("pixelated,blocky", Lane.PASS)):
        summary = Summary()
        routing = Routing(repair=parse_repair(kinds))
        routed = list(route(scored, routing, resize=False, enlarge=False, summary=summary))
        assert {item.lane for item in routed} == {lane}
        assert summary.frames_by_kind == {"soft": 4}
    done = list(
        enhance(
            route(scored, Routing(repair=parse_repair("soft")), resize=False, enlarge=False, summary=Summary()),
            CpuExecutor(load_enhancer("lanczos")),
            Fit(SIZE, SIZE, SIZE),
            summary,
        )
    )
    assert all(item.frame is not item.routed.frame for item in done)
    assert verdict.native_size((640, 368)) == (320, 184)


def test_quality_decides_only_where_it_has_evidence() -> None:
    soft = Quality(Kind.SOFT, 20.0, factors=(2.0, 2.0))
    assert classify(Verdict(0.0), soft).kind is Kind.SOFT
    assert classify(Verdict(0.0, Kind.MOSAIC), soft).kind is Kind.MOSAIC
    assert classify(Verdict(0.0, Kind.SOFT), None).kind is Kind.SOFT
    coarse, fine = Coding("h264", 40.0), Coding("h264", 22.0)
    assert classify(Verdict(0.0), soft, coding=coarse).kind is Kind.BLOCKY
    # coded again, finely: only a picture that shows it clearly is blocky
    assert classify(Verdict(0.0), Quality(Kind.BLOCKY, 36.0), coding=fine).kind is Kind.CLEAN
    assert classify(Verdict(0.0), Quality(Kind.BLOCKY, 44.0), coding=fine).kind is Kind.BLOCKY
    assert classify(Verdict(0.0), Quality(Kind.BLOCKY, 30.0)).kind is Kind.CLEAN
    alone = classify(Verdict(0.0), Quality(Kind.BLOCKY, 35.0))
    assert alone.kind is Kind.BLOCKY
    assert alone.severity == pytest.approx(0.6)
    clean = classify(Verdict(0.0), Quality(Kind.CLEAN, 45.0))
    assert clean.severity is not None
    assert clean.severity < 0.5
