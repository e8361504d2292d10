"""Routing: hysteresis, confirmation, hold time and scene cuts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from deepclarity.models.verdict import Blocks, Kind, Verdict
from deepclarity.pipelines.detect import Scored, detect
from deepclarity.pipelines.records import Lane, Summary
from deepclarity.pipelines.route import FrameSelection, Routing, route
from deepclarity.stream.frame import Frame

BLOCKS = Blocks(4, 4)


def frame(index: int, luma: np.ndarray | None = None) -> Frame:
    plane = np.zeros((36, 64), np.uint8) if luma is None else luma
    grey = np.full((18, 32), 128, np.uint8)
    return Frame((plane, grey, grey), index, index, Fraction(1, 25))


def scored(scores: list[float], *, cuts: tuple[int, ...] = ()) -> list[Scored]:
    def verdict(score: float) -> Verdict:
        kind = Kind.PIXELATED if score >= 0.5 else Kind.CLEAN
        return Verdict(score, kind, BLOCKS if score >= 0.5 else None)

    return [Scored(frame(i), verdict(score), i == 0 or i in cuts) for i, score in enumerate(scores)]


def lanes(scores: list[float], *, cuts: tuple[int, ...] = (), **routing: object) -> str:
    chosen = Routing(**routing)  # type: ignore[arg-type]
    routed = route(scored(scores, cuts=cuts), chosen, resize=False, enlarge=False, summary=Summary())
    return "".join("E" if item.lane is Lane.ENHANCE else "." for item in routed)


def test_pixelated_range_is_repaired_from_first_to_last_frame() -> None:
    assert lanes([0.0] * 20 + [1.0] * 20 + [0.0] * 20) == "." * 20 + "E" * 20 + "." * 20


def test_single_outlier_is_ignored() -> None:
    assert lanes([0.0] * 10 + [0.9] + [0.0] * 10) == "." * 21


def test_score_between_thresholds_keeps_the_state() -> None:
    assert lanes([0.0] * 5 + [0.55] * 20) == "." * 25
    assert lanes([1.0] * 20 + [0.45] * 20) == "E" * 40


def test_noisy_scores_switch_at_most_twice_per_second() -> None:
    scores = np.random.default_rng(5).uniform(0.2, 0.8, 500).tolist()
    switches = sum(a != b for a, b in zip(lanes(scores), lanes(scores)[1:], strict=False))
    assert switches <= 500 / 25 * 2


def test_hold_time_delays_the_next_repair_except_at_a_cut() -> None:
    scores = [1.0] * 5 + [0.3] * 5 + [1.0] * 20
    assert lanes(scores) == "E" * 5 + "." * 13 + "E" * 12  # half a second is 13 frames
    assert lanes(scores, cuts=(10,)) == "E" * 5 + "." * 5 + "E" * 20


def test_repair_stops_immediately_on_clean_frames() -> None:
    assert lanes([1.0] * 5 + [0.3] * 20) == "E" * 5 + "." * 20


def test_single_missed_frame_is_still_repaired() -> None:
    assert lanes([1.0] * 5 + [0.0] + [1.0] * 5) == "E" * 11


def test_lattice_comes_only_from_pixelated_frames_of_the_same_scene() -> None:
    other = Blocks(16, 16)
    frames = scored([1.0] * 5 + [0.45] * 5, cuts=(8,))
    frames[5:] = [replace(j, verdict=replace(j.verdict, kind=Kind.BLOCKY, blocks=other)) for j in frames[5:]]
    routed = list(route(frames, Routing(), resize=False, enlarge=False, summary=Summary()))
    assert [item.blocks for item in routed] == [BLOCKS] * 8 + [None] * 2


def test_detector_failure_is_raised_after_earlier_frames() -> None:
    def failing() -> Iterator[Scored]:
        yield from scored([0.0] * 5)
        raise RuntimeError("detector died")

    indices: list[int] = []
    with pytest.raises(RuntimeError, match="detector died"):
        for item in route(failing(), Routing(), resize=False, enlarge=False, summary=Summary()):
            indices.append(item.frame.index)  # noqa: PERF401  the error is raised after them
    assert indices == list(range(5))


def test_short_range_ending_at_a_cut_needs_no_confirmation() -> None:
    assert lanes([0.0] * 30 + [1.0, 1.0] + [0.0] * 10, cuts=(30, 32)) == "." * 30 + "EE" + "." * 10


def test_all_and_none_ignore_the_detector() -> None:
    scores = [0.0, 1.0, 0.0, 1.0]
    assert lanes(scores, which=FrameSelection.NONE) == "...."
    routed = list(
        route(scored(scores), Routing(which=FrameSelection.ALL), resize=True, enlarge=True, summary=Summary())
    )
    assert [item.lane for item in routed] == [Lane.ENHANCE] * 4
    assert [item.blocks for item in routed] == [None, BLOCKS, None, BLOCKS]


def test_clean_frames_of_another_size_are_resized() -> None:
    routed = list(route(scored([0.0] * 3), Routing(), resize=True, enlarge=True, summary=Summary()))
    assert {item.lane for item in routed} == {Lane.RESIZE}


def test_lattice_jitter_within_measurement_error_is_ignored() -> None:
    jitter = [Blocks(4, 4, 0.1 * (i % 2), 0) for i in range(10)]
    frames = [Scored(frame(i), Verdict(1.0, Kind.PIXELATED, b), i == 0) for i, b in enumerate(jitter)]
    routed = list(route(frames, Routing(), resize=False, enlarge=False, summary=Summary()))
    assert {item.blocks for item in routed} == {jitter[0]}


def test_order_is_kept_for_every_look_ahead() -> None:
    for confirm in (0, 1, 7, 50):
        routed = route(
            scored([0.5] * 20), Routing(confirm_frames=confirm), resize=False, enlarge=False, summary=Summary()
        )
        assert [item.frame.index for item in routed] == list(range(20))


def test_scene_change_is_detected_as_a_cut() -> None:
    rng = np.random.default_rng(6)
    scene = np.kron(rng.integers(0, 256, (9, 16), np.uint8), np.ones((40, 40), np.uint8))
    other = np.kron(rng.integers(0, 256, (9, 16), np.uint8), np.ones((40, 40), np.uint8))
    frames = [frame(i, luma) for i, luma in enumerate([scene, scene, other, other])]
    assert [j.cut for j in detect(frames, None, Summary())] == [True, False, True, False]


@pytest.mark.parametrize("count", [0, 1])
def test_empty_and_single_frame_streams(count: int) -> None:
    assert lanes([1.0] * count) == "E" * count
