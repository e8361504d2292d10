"""Strictly increasing timestamps."""

from __future__ import annotations

from deepclarity.stream.files.timestamps import MonotonicTimestamps


def placed(times: list[int], step: int = 10) -> list[int]:
    increasing = MonotonicTimestamps(step=step)
    return [increasing.place(time) for time in times]


def test_increasing_timestamps_are_unchanged() -> None:
    assert placed([-5, 0, 1, 400, 401, 9_000_000]) == [-5, 0, 1, 400, 401, 9_000_000]


def test_repeated_timestamp_moves_by_one_tick() -> None:
    assert placed([0, 10, 10, 20]) == [0, 10, 11, 20]


def test_single_early_timestamp_moves_after_its_predecessor() -> None:
    assert placed([100, 110, -9_800, 130, 140]) == [100, 110, 120, 130, 140]


def test_new_timeline_continues_the_previous_one() -> None:
    assert placed([100, 110, 120, 0, 10, 20, 30, 40, 50]) == [100, 110, 120, 130, 140, 150, 160, 170, 180]
