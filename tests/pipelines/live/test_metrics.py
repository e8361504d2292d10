"""What a stream's reading looks like to people and to machines."""

from __future__ import annotations

import json
import socket

import pytest

from deepclarity.errors import OutputError
from deepclarity.pipelines.live.metrics import Metrics, health
from deepclarity.pipelines.live.stats import Histogram, LiveStats, Reading
from tests.rtsp.relay_command import fetched, parsed


def reading(**changes: object) -> Reading:
    well = Reading("door", source="rtsp://cam/x", sink="rtsp://h/y", source_state="connected", sink_state="connected")
    well.tier, well.lanes, well.drops = "turbo", {"pass": 30, "resize": 0, "enhance": 10}, {"late": 2}
    well.counts, well.queues = {"source_reconnects": 3}, {"arriving": 1}
    stats = LiveStats()
    for age_s in (0.01, 0.02, 0.3):
        stats.leaves(age_s)
    well.histograms = stats.histograms()
    for name, value in changes.items():
        setattr(well, name, value)
    return well


def test_every_family_that_is_promised_is_served() -> None:
    with Metrics(lambda: [reading()], port=0) as metrics:
        status, page = fetched(f"http://127.0.0.1:{metrics.port}/metrics")
    samples = parsed(page)
    assert status == 200
    assert samples['deepclarity_frames_total{lane="enhance"}'] == 10
    assert samples['deepclarity_dropped_frames_total{reason="late"}'] == 2
    assert samples["deepclarity_source_reconnects_total"] == 3
    assert samples['deepclarity_tier{tier="turbo"}'] == 1
    assert samples['deepclarity_state{side="source",state="connected"}'] == 1
    assert samples['deepclarity_state{side="sink",state="reconnecting"}'] == 0
    assert samples['deepclarity_queue_depth{queue="arriving"}'] == 1
    assert samples['deepclarity_frame_age_seconds_bucket{le="0.02"}'] == 2
    assert samples["deepclarity_frame_age_seconds_count"] == 3
    assert samples["deepclarity_frame_age_seconds_sum"] == pytest.approx(0.33)


def test_health_is_503_until_both_sides_are_connected() -> None:
    lost = reading(source_state="reconnecting", reason="connection refused")
    assert health([reading()])[0] == 200
    status, body = health([reading(), lost])
    assert status == 503
    assert json.loads(body)["streams"]["door"]["reason"] == "connection refused"
    assert health([])[0] == 503


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OutputError, match=f"127.0.0.1:{port}: cannot listen there"):
            Metrics(list, port=port)


def test_other_paths_are_not_found_and_a_silent_client_holds_nobody_up() -> None:
    with Metrics(lambda: [reading()], port=0) as metrics, socket.create_connection(("127.0.0.1", metrics.port)):
        assert fetched(f"http://127.0.0.1:{metrics.port}/etc/passwd")[0] == 404
        assert fetched(f"http://127.0.0.1:{metrics.port}/metrics")[0] == 200


def test_one_line_says_all_that_matters() -> None:
    line = reading(fps_in=30.0, fps_out=29.5, latency_p50_ms=12.0, latency_p99_ms=40.0).line()
    assert line == ("door  in 30.0  out 29.5 fps  latency 12/40 ms  repaired 25 %  turbo  drops 2  reconnects 3")
    assert "reconnecting/connected: no answer" in reading(source_state="reconnecting", reason="no answer").line()


def test_percentiles_are_of_the_last_frames() -> None:
    stats = LiveStats()
    for number in range(1000):
        stats.leaves(number / 1000)
    assert stats.latency_ms(0.5) == pytest.approx(850, abs=2)
    assert stats.latency_ms(0.99) == pytest.approx(997, abs=2)


def test_histograms_count_by_their_upper_bounds() -> None:
    histogram = Histogram()
    for seconds in (0.005, 0.0051, 7.0):
        histogram.add(seconds)
    assert histogram.counts[0] == histogram.counts[1] == histogram.counts[-1] == 1
