"""Times that only rise."""

from __future__ import annotations

from deepclarity.stream.files.timestamps import MonotonicTimestamps


def placed(times: list[int], step: int = 10) -> list[int]:
    increasing = MonotonicTimestamps(step=step)
    return [increasing.place(time) for time in times]


def test_times_that_rise_stay_as_they_are_however_unevenly() -> None:
    assert placed([-5, 0, 1, 400, 401, 9_000_000]) == [-5, 0, 1, 400, 401, 9_000_000]


def test_a_time_that_stands_still_moves_by_a_tick() -> None:
    assert placed([0, 10, 10, 20]) == [0, 10, 11, 20]


def test_one_time_far_behind_is_put_next_to_its_neighbour_and_the_next_keep_theirs() -> None:
    assert placed([100, 110, -9_800, 130, 140]) == [100, 110, 120, 130, 140]


def test_a_new_timeline_is_joined_on() -> None:
    assert placed([100, 110, 120, 0, 10, 20, 30, 40, 50]) == [100, 110, 120, 130, 140, 150, 160, 170, 180]
