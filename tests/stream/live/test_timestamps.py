"""Timeline: output timestamps increase strictly despite jumps, gaps and stops of the source's clock."""

from __future__ import annotations

from itertools import pairwise

from deepclarity.stream.live.timestamps import Timeline

STEP = 1 / 30


def output_times(timeline: Timeline, times: list[float | None], *, arrived_s: float = 100.0) -> list[float]:
    """Output times for source timestamps that arrive in real time, from `arrived_s` on."""
    return [timeline.output_time(time_s, arrived_s=arrived_s + number * STEP) for number, time_s in enumerate(times)]


def intervals(times: list[float]) -> list[float]:
    return [round(after - before, 6) for before, after in pairwise(times)]


def all_near(values: list[float], expected: float, tolerance: float = 0.002) -> bool:
    return all(abs(value - expected) <= tolerance for value in values)


def test_steady_source_keeps_its_intervals_and_starts_at_zero() -> None:
    output = output_times(Timeline(), [5000 + n * STEP for n in range(20)])
    assert output[0] == 0.0
    assert all_near(intervals(output), STEP)


def test_single_outliers_are_corrected() -> None:
    times: list[float | None] = [n * STEP for n in range(30)]
    times[10], times[20] = -9800.0, 37600.0
    timeline = Timeline()
    output = output_times(timeline, times)
    assert all_near(intervals(output), STEP)
    assert timeline.corrected == 2


def test_three_consistent_outliers_start_a_new_timeline() -> None:
    times: list[float | None] = [n * STEP for n in range(10)] + [70_000 + n * STEP for n in range(10)]
    output = output_times(Timeline(), times)
    assert all_near(intervals(output), STEP)


def test_consecutive_inconsistent_outliers_are_corrected() -> None:
    times: list[float | None] = [n * STEP for n in range(30)]
    times[10], times[11], times[12] = 500.0, 9_000.0, 77.0
    timeline = Timeline()
    output = output_times(timeline, times)
    assert all_near(intervals(output), STEP)
    assert timeline.corrected == 3


def test_interruption_advances_output_time_by_its_duration() -> None:
    timeline = Timeline()
    before = output_times(timeline, [n * STEP for n in range(10)], arrived_s=100.0)
    timeline.interrupted()
    last_arrival_s = 100.0 + 9 * STEP
    after = timeline.output_time(0.0, arrived_s=last_arrival_s + 30.0)  # the camera's clock restarts at 0
    assert abs((after - before[-1]) - 30.0) <= STEP
    assert timeline.output_time(STEP, arrived_s=last_arrival_s + 30.0 + STEP) > after


def test_pictures_after_placeholders_return_to_the_source_clock() -> None:
    timeline = Timeline()
    output = output_times(timeline, [n * STEP for n in range(10)], arrived_s=100.0)
    last_arrival_s = 100.0 + 9 * STEP
    placeholders = [timeline.placeholder_time(now_s=last_arrival_s + 0.3 + 0.1 * n) for n in range(5)]
    backlog_s = last_arrival_s + 0.75  # the backlog arrives at once
    resumed = [timeline.output_time((10 + n) * STEP, arrived_s=backlog_s) for n in range(40)]
    all_output = output + placeholders + resumed
    assert all_output == sorted(set(all_output))
    assert all_near(intervals(resumed)[-8:], STEP, tolerance=0.01)  # back on the source's clock
    assert timeline.corrected == 0


def test_pause_in_the_stream_is_not_an_outlier() -> None:
    timeline = Timeline()
    output_times(timeline, [n * STEP for n in range(10)], arrived_s=100.0)
    output = timeline.output_time(9 * STEP + 8.0, arrived_s=100.0 + 9 * STEP + 8.0)
    assert abs(output - (9 * STEP + 8.0)) < 0.01
    assert timeline.corrected == 0


def test_frame_interval_adapts_to_a_slow_camera() -> None:
    timeline = Timeline()
    for number in range(40):
        timeline.output_time(float(number), arrived_s=100.0 + number)
    assert abs(timeline.frame_interval_s - 1.0) < 0.05


def test_output_catches_up_after_the_source_clock_stopped() -> None:
    timeline = Timeline()
    output_times(timeline, [n * STEP for n in range(10)], arrived_s=100.0)
    last_arrival_s = 100.0 + 9 * STEP
    # No picture for 1.75 s, during which the source's clock stops as well.
    placeholders = [timeline.placeholder_time(now_s=last_arrival_s + 0.25 + 0.1 * n) for n in range(16)]
    resumed = [timeline.output_time((10 + n) * STEP, arrived_s=last_arrival_s + 1.8 + n * STEP) for n in range(40)]
    assert resumed == sorted(set(resumed))
    assert all_near(intervals(resumed)[-20:], STEP)
    assert resumed[-1] - placeholders[-1] > 20 * STEP


def test_pictures_without_timestamps_use_the_frame_interval() -> None:
    assert all_near(intervals(output_times(Timeline(), [None] * 10)), STEP)


def test_timeline_can_start_with_placeholders() -> None:
    timeline = Timeline()
    slates = [timeline.placeholder_time(now_s=50.0 + n * 0.1) for n in range(10)]
    first = timeline.output_time(12_345.0, arrived_s=51.0)
    assert slates[0] == 0.0
    assert abs(first - 1.0) < 0.05
    assert [*slates, first] == sorted({*slates, first})


def test_rtp_timestamp_wraparound_is_continuous() -> None:
    top = 2**32 / 90_000  # RTP time is 32 bits of 90 kHz
    times: list[float | None] = [(top - 0.2 + n * STEP) % top for n in range(20)]
    assert all_near(intervals(output_times(Timeline(), times)), STEP)
