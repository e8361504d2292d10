"""Output timestamps increase strictly, whatever the source's clock does."""

from __future__ import annotations

from itertools import pairwise

from deepclarity.stream.live.timestamps import Timeline

STEP = 1 / 30


def shown(timeline: Timeline, times: list[float | None], *, arrived_s: float = 100.0) -> list[float]:
    """Output times of source timestamps that arrive in real time."""
    return [timeline.output_time(time_s, arrived_s=arrived_s + number * STEP) for number, time_s in enumerate(times)]


def steps(placed: list[float]) -> list[float]:
    return [round(after - before, 6) for before, after in pairwise(placed)]


def near(values: list[float], wanted: float, within: float = 0.002) -> bool:
    return all(abs(value - wanted) <= within for value in values)


def test_steady_source_keeps_its_intervals_and_starts_at_zero() -> None:
    placed = shown(Timeline(), [5000 + n * STEP for n in range(20)])
    assert placed[0] == 0.0
    assert near(steps(placed), STEP)


def test_single_outliers_move_next_to_their_neighbours() -> None:
    times: list[float | None] = [n * STEP for n in range(30)]
    times[10], times[20] = -9800.0, 37600.0
    timeline = Timeline()
    placed = shown(timeline, times)
    assert near(steps(placed), STEP)
    assert timeline.corrected == 2


def test_three_consistent_outliers_start_a_new_timeline() -> None:
    times: list[float | None] = [n * STEP for n in range(10)] + [70_000 + n * STEP for n in range(10)]
    placed = shown(Timeline(), times)
    assert near(steps(placed), STEP)


def test_two_inconsistent_outliers_are_corrected_separately() -> None:
    times: list[float | None] = [n * STEP for n in range(30)]
    times[10], times[11], times[12] = 500.0, 9_000.0, 77.0
    timeline = Timeline()
    placed = shown(timeline, times)
    assert near(steps(placed), STEP)
    assert timeline.corrected == 3


def test_interruption_advances_output_time_by_its_duration() -> None:
    timeline = Timeline()
    before = shown(timeline, [n * STEP for n in range(10)], arrived_s=100.0)
    timeline.interrupted()
    last_came = 100.0 + 9 * STEP
    after = timeline.output_time(0.0, arrived_s=last_came + 30.0)  # rebooted: counts from 0 again
    assert abs((after - before[-1]) - 30.0) <= STEP
    assert timeline.output_time(STEP, arrived_s=last_came + 30.0 + STEP) > after


def test_real_picture_follows_the_held_ones() -> None:
    timeline = Timeline()
    placed = shown(timeline, [n * STEP for n in range(10)], arrived_s=100.0)
    last_came = 100.0 + 9 * STEP
    held = [timeline.placeholder_time(now_s=last_came + 0.3 + 0.1 * n) for n in range(5)]
    late = [
        timeline.output_time((10 + n) * STEP, arrived_s=last_came + 0.75) for n in range(40)
    ]  # the backlog, at once
    everything = placed + held + late
    assert everything == sorted(set(everything))
    assert near(steps(late)[-8:], STEP, within=0.01)  # and it is back on the source's own clock
    assert timeline.corrected == 0


def test_pause_in_the_stream_is_not_an_outlier() -> None:
    timeline = Timeline()
    shown(timeline, [n * STEP for n in range(10)], arrived_s=100.0)
    placed = timeline.output_time(9 * STEP + 8.0, arrived_s=100.0 + 9 * STEP + 8.0)
    assert abs(placed - (9 * STEP + 8.0)) < 0.01
    assert timeline.corrected == 0


def test_interval_of_a_slow_camera_is_learned() -> None:
    timeline = Timeline()
    for number in range(40):
        timeline.output_time(float(number), arrived_s=100.0 + number)
    assert abs(timeline.frame_interval_s - 1.0) < 0.05


def test_stopped_source_clock_is_caught_up() -> None:
    timeline = Timeline()
    shown(timeline, [n * STEP for n in range(10)], arrived_s=100.0)
    last_came = 100.0 + 9 * STEP
    held = [timeline.placeholder_time(now_s=last_came + 0.25 + 0.1 * n) for n in range(16)]  # nothing for 1.75 s …
    late = [
        timeline.output_time((10 + n) * STEP, arrived_s=last_came + 1.8 + n * STEP) for n in range(40)
    ]  # … as if nothing were
    assert late == sorted(set(late))
    assert near(steps(late)[-20:], STEP)
    assert late[-1] - held[-1] > 20 * STEP


def test_pictures_without_timestamps_follow_at_the_usual_interval() -> None:
    assert near(steps(shown(Timeline(), [None] * 10)), STEP)


def test_timeline_can_start_with_a_slate() -> None:
    timeline = Timeline()
    slates = [timeline.placeholder_time(now_s=50.0 + n * 0.1) for n in range(10)]
    first = timeline.output_time(12_345.0, arrived_s=51.0)
    assert slates[0] == 0.0
    assert abs(first - 1.0) < 0.05
    assert [*slates, first] == sorted({*slates, first})


def test_timestamp_wraparound_is_continued() -> None:
    top = 2**32 / 90_000  # RTP time is 32 bits of 90 kHz
    times: list[float | None] = [(top - 0.2 + n * STEP) % top for n in range(20)]
    assert near(steps(shown(Timeline(), times)), STEP)
