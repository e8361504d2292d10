"""Live statistics: Prometheus metrics, health endpoint, status line, histograms."""

from __future__ import annotations

import json
import socket

import pytest

from deepclarity.errors import OutputError
from deepclarity.pipelines.live.metrics import Metrics, health
from deepclarity.pipelines.live.stats import Histogram, LiveStats, StatsSnapshot
from tests.rtsp.relay_command import fetch, parse_metrics


def snapshot(**changes: object) -> StatsSnapshot:
    stats_snapshot = StatsSnapshot(
        "entrance", source="rtsp://cam/x", sink="rtsp://h/y", source_state="connected", sink_state="connected"
    )
    stats_snapshot.tier, stats_snapshot.lanes, stats_snapshot.drops = (
        "turbo",
        {"pass": 30, "resize": 0, "enhance": 10},
        {"late": 2},
    )
    stats_snapshot.kinds = {"clean": 7, "blocky": 3}
    stats_snapshot.counts, stats_snapshot.queues = {"source_reconnects": 3}, {"arriving": 1}
    stats = LiveStats()
    for age_s in (0.01, 0.02, 0.3):
        stats.record_latency(age_s)
    stats_snapshot.histograms = stats.histograms()
    for name, value in changes.items():
        setattr(stats_snapshot, name, value)
    return stats_snapshot


def test_metrics_endpoint_serves_every_documented_family() -> None:
    with Metrics(lambda: [snapshot()], port=0) as metrics:
        status, page = fetch(f"http://127.0.0.1:{metrics.port}/metrics")
    samples = parse_metrics(page)
    assert status == 200
    assert samples['deepclarity_frames_total{lane="enhance"}'] == 10
    assert samples['deepclarity_frames_by_kind_total{kind="blocky"}'] == 3
    assert samples['deepclarity_dropped_frames_total{reason="late"}'] == 2
    assert samples["deepclarity_source_reconnects_total"] == 3
    assert samples['deepclarity_tier{tier="turbo"}'] == 1
    assert samples['deepclarity_state{side="source",state="connected"}'] == 1
    assert samples['deepclarity_state{side="sink",state="reconnecting"}'] == 0
    assert samples['deepclarity_queue_depth{queue="arriving"}'] == 1
    assert samples['deepclarity_frame_age_seconds_bucket{le="0.02"}'] == 2
    assert samples["deepclarity_frame_age_seconds_count"] == 3
    assert samples["deepclarity_frame_age_seconds_sum"] == pytest.approx(0.33)


def test_health_is_503_until_source_and_sink_are_connected() -> None:
    lost = snapshot(source_state="reconnecting", reason="connection refused")
    assert health([snapshot()])[0] == 200
    status, body = health([snapshot(), lost])
    assert status == 503
    assert json.loads(body)["streams"]["entrance"]["reason"] == "connection refused"
    assert health([])[0] == 503


def test_port_in_use_is_named_in_the_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OutputError, match=f"127.0.0.1:{port}: cannot listen there"):
            Metrics(list, port=port)


def test_unknown_path_returns_404_and_idle_client_does_not_block() -> None:
    with Metrics(lambda: [snapshot()], port=0) as metrics, socket.create_connection(("127.0.0.1", metrics.port)):
        assert fetch(f"http://127.0.0.1:{metrics.port}/etc/passwd")[0] == 404
        assert fetch(f"http://127.0.0.1:{metrics.port}/metrics")[0] == 200


def test_status_line() -> None:
    line = snapshot(fps_in=30.0, fps_out=29.5, latency_p50_ms=12.0, latency_p99_ms=40.0).line()
    assert line == ("entrance  in 30.0  out 29.5 fps  latency 12/40 ms  repaired 25 %  turbo  drops 2  reconnects 3")
    assert "reconnecting/connected: no answer" in snapshot(source_state="reconnecting", reason="no answer").line()


def test_latency_percentiles_cover_the_last_300_frames() -> None:
    stats = LiveStats()
    for number in range(1000):
        stats.record_latency(number / 1000)
    assert stats.latency_ms(0.5) == pytest.approx(850, abs=2)
    assert stats.latency_ms(0.99) == pytest.approx(997, abs=2)


def test_histogram_buckets_include_their_upper_bound() -> None:
    histogram = Histogram()
    for seconds in (0.005, 0.0051, 7.0):
        histogram.add(seconds)
    assert histogram.counts[0] == histogram.counts[1] == histogram.counts[-1] == 1
