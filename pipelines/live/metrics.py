"""Readings for machines: Prometheus' text format, and whether all is well."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from deepclarity.errors import OutputError

from .stats import BOUNDS_S, Reading

Readings = Callable[[], Sequence[Reading]]

_STATES = ("connecting", "connected", "reconnecting", "ended")
_COUNTERS = {
    "written": ("frames_written", "Frames handed to the RTSP server"),
    "source_reconnects": ("source_reconnects", "Times the source came back"),
    "sink_reconnects": ("sink_reconnects", "Times the RTSP server came back"),
    "source_failures": ("source_failures", "Attempts to open the source that failed"),
    "sink_failures": ("sink_failures", "Attempts to reach the RTSP server that failed"),
    "lost_packets": ("source_lost_packets", "RTP packets that never came"),
    "damaged_packets": ("source_damaged_packets", "Packets that could not be decoded"),
    "damaged_frames": ("damaged_frames", "Frames behind a loss, passed on without repair"),
    "retimed": ("retimed_frames", "Frames whose timestamp did not fit and was replaced"),
    "source_changes": ("source_changes", "Changes of the source's size or codec"),
    "held": ("held_frames", "Frames shown again for want of new ones"),
    "slates": ("slate_frames", "Frames that said what is missing"),
    "not_repaired": ("fallback_frames", "Frames that could not be repaired and were resized"),
    "tier_steps_down": ("tier_steps_down", "Steps to a simpler tier"),
    "tier_steps_up": ("tier_steps_up", "Steps to a better tier"),
    "lane_switches": ("lane_switches", "Times repair began or ended"),
    "restarts": ("restarts", "Times the supervisor began the relay again"),
}


class Metrics:
    """`with Metrics(readings, port=9100) as metrics:` serves `/metrics` and `/healthz` until the block is left."""

    def __init__(self, readings: Readings, *, port: int, host: str = "127.0.0.1") -> None:
        """`port`: 0 for any free one. Raises OutputError where it is taken."""
        self._readings = readings
        registry = CollectorRegistry()
        registry.register(_Collector(readings))
        try:
            self._server = _server_class(host)((host, port), _handler(readings, registry))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or "no such port"
            raise OutputError(
                f"--metrics {host}:{port}: cannot listen there ({reason}). Choose another port."
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="metrics", daemon=True
        )

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Metrics:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _server_class(host: str) -> type[ThreadingHTTPServer]:
    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        daemon_threads = True
        block_on_close = False  # a client that dawdles keeps nobody from leaving

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that hangs up is no event."""

    return Server


def _handler(readings: Readings, registry: CollectorRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5  # a client that says nothing is not waited for
        server_version, sys_version = "deepclarity", ""

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(HTTPStatus.OK, generate_latest(registry), CONTENT_TYPE_LATEST)
            elif path == "/healthz":
                status, body = health(readings())
                self._answer(status, body, "application/json")
            else:
                self._answer(HTTPStatus.NOT_FOUND, b"/metrics and /healthz are here\n", "text/plain")

        def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Requests are not worth a line."""

    return Handler


def health(readings: Sequence[Reading]) -> tuple[HTTPStatus, bytes]:
    """200 where every stream's source and sink are connected, else 503; the streams' states as JSON."""
    streams = {
        each.name: {"ok": each.healthy, "source": each.source_state, "sink": each.sink_state, "reason": each.reason}
        for each in readings
    }
    well = bool(readings) and all(each.healthy for each in readings)
    body = json.dumps({"ok": well, "streams": streams}).encode() + b"\n"
    return (HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE), body


class _Collector:
    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        """One family after the other, a sample a stream."""
        readings = self._readings()
        yield from _gauges(readings)
        yield from _counters(readings)
        yield from _histograms(readings)


def _gauges(readings: Sequence[Reading]) -> Iterator[Metric]:
    info = InfoMetricFamily("deepclarity_stream", "Where from and where to, secrets cut out", labels=["stream"])
    rates = GaugeMetricFamily("deepclarity_fps", "Frames a second of late", labels=["stream", "side"])
    latency = GaugeMetricFamily(
        "deepclarity_latency_seconds", "Age of the last 300 frames as they left", labels=["stream", "quantile"]
    )
    tier = GaugeMetricFamily("deepclarity_tier", "1 for the tier that works now", labels=["stream", "tier"])
    state = GaugeMetricFamily("deepclarity_state", "1 for the state a side is in", labels=["stream", "side", "state"])
    queues = GaugeMetricFamily("deepclarity_queue_depth", "Items that wait", labels=["stream", "queue"])
    for each in readings:
        info.add_metric([each.name], {"source": each.source, "sink": each.sink})
        rates.add_metric([each.name, "in"], each.fps_in)
        rates.add_metric([each.name, "out"], each.fps_out)
        latency.add_metric([each.name, "0.5"], each.latency_p50_ms / 1000)
        latency.add_metric([each.name, "0.99"], each.latency_p99_ms / 1000)
        tier.add_metric([each.name, each.tier], 1)
        for side, now in (("source", each.source_state), ("sink", each.sink_state)):
            for name in _STATES:
                state.add_metric([each.name, side, name], float(name == now))
        for name, depth in each.queues.items():
            queues.add_metric([each.name, name], depth)
    yield from (info, rates, latency, tier, state, queues)


def _counters(readings: Sequence[Reading]) -> Iterator[Metric]:
    lanes = CounterMetricFamily("deepclarity_frames", "Frames by the lane they took", labels=["stream", "lane"])
    drops = CounterMetricFamily("deepclarity_dropped_frames", "Frames that reached nobody", labels=["stream", "reason"])
    for each in readings:
        for lane, count in each.lanes.items():
            lanes.add_metric([each.name, lane], count)
        for reason, count in each.drops.items():
            drops.add_metric([each.name, reason], count)
    yield from (lanes, drops)
    for key, (name, told) in _COUNTERS.items():
        family = CounterMetricFamily(f"deepclarity_{name}", told, labels=["stream"])
        for each in readings:
            if key in each.counts:
                family.add_metric([each.name], each.counts[key])
        yield family


def _histograms(readings: Sequence[Reading]) -> Iterator[Metric]:
    stages = HistogramMetricFamily("deepclarity_stage_seconds", "Time a frame by stage", labels=["stream", "stage"])
    ages = HistogramMetricFamily(
        "deepclarity_frame_age_seconds", "From a frame's coming to its leaving", labels=["stream"]
    )
    for each in readings:
        for name, values in each.histograms.items():
            buckets, total = [], 0
            for bound, count in zip((*BOUNDS_S, float("inf")), values["counts"], strict=True):
                total += count
                buckets.append(("+Inf" if bound == float("inf") else str(bound), total))
            if name == "age":
                ages.add_metric([each.name], buckets, values["sum_s"])
            else:
                stages.add_metric([each.name, name.removeprefix("stage_")], buckets, values["sum_s"])
    yield from (stages, ages)
