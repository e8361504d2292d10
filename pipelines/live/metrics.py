"""HTTP server for monitoring: `/metrics` in Prometheus' text format and `/healthz`."""

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

from .stats import BOUNDS_S, StatsSnapshot

GetSnapshots = Callable[[], Sequence[StatsSnapshot]]
"""Returns the current stats of every stream; called for each request."""

_STATES = ("connecting", "connected", "reconnecting", "ended")
_COUNTERS = {
    "written": ("frames_written", "Frames sent to the RTSP server"),
    "source_reconnects": ("source_reconnects", "Successful reconnections to the source"),
    "sink_reconnects": ("sink_reconnects", "Successful reconnections to the RTSP server"),
    "source_failures": ("source_failures", "Failed connections to the source"),
    "sink_failures": ("sink_failures", "Failed connections to the RTSP server"),
    "lost_packets": ("source_lost_packets", "RTP packets that never arrived"),
    "damaged_packets": ("source_damaged_packets", "Packets that could not be decoded"),
    "damaged_frames": ("damaged_frames", "Frames decoded after a loss, passed on without repair"),
    "retimed": ("retimed_frames", "Frames whose timestamp was invalid and was replaced"),
    "source_changes": ("source_changes", "Changes of the source's size or codec"),
    "held": ("held_frames", "Frames repeated because no new ones arrived"),
    "slates": ("slate_frames", "Placeholder frames that show an error message"),
    "not_repaired": ("fallback_frames", "Frames that could not be repaired and were resized instead"),
    "tier_steps_down": ("tier_steps_down", "Switches to a simpler tier"),
    "tier_steps_up": ("tier_steps_up", "Switches to a better tier"),
    "lane_switches": ("lane_switches", "Times repair started or stopped"),
    "restarts": ("restarts", "Times the supervisor restarted the relay"),
}


class Metrics:
    """`with Metrics(get_snapshots, port=9100) as metrics:` serves `/metrics` and `/healthz` inside the block."""

    def __init__(self, get_snapshots: GetSnapshots, *, port: int, host: str = "127.0.0.1") -> None:
        """`port`: 0 for any free one. Raises OutputError if it cannot be bound."""
        registry = CollectorRegistry()
        registry.register(_Collector(get_snapshots))
        try:
            self._server = _server_class(host)((host, port), _handler(get_snapshots, registry))
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
        """The port it listens on."""
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
        block_on_close = False  # a slow client must not delay shutdown

        def handle_error(self, request: object, client_address: object) -> None:
            """Ignore clients that disconnect."""

    return Server


def _handler(get_snapshots: GetSnapshots, registry: CollectorRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5  # seconds; drop clients that send nothing
        server_version, sys_version = "deepclarity", ""

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._reply(HTTPStatus.OK, generate_latest(registry), CONTENT_TYPE_LATEST)
            elif path == "/healthz":
                status, body = health(get_snapshots())
                self._reply(status, body, "application/json")
            else:
                self._reply(HTTPStatus.NOT_FOUND, b"not found; try /metrics or /healthz\n", "text/plain")

        def _reply(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Do not log requests."""

    return Handler


def health(snapshots: Sequence[StatsSnapshot]) -> tuple[HTTPStatus, bytes]:
    """Status 200 if the source and sink of every stream are connected, else 503; and the states as a JSON body."""
    streams = {
        each.name: {"ok": each.healthy, "source": each.source_state, "sink": each.sink_state, "reason": each.reason}
        for each in snapshots
    }
    healthy = bool(snapshots) and all(each.healthy for each in snapshots)
    body = json.dumps({"ok": healthy, "streams": streams}).encode() + b"\n"
    return (HTTPStatus.OK if healthy else HTTPStatus.SERVICE_UNAVAILABLE), body


class _Collector:
    def __init__(self, get_snapshots: GetSnapshots) -> None:
        self._get_snapshots = get_snapshots

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family, with one sample per stream."""
        snapshots = self._get_snapshots()
        yield from _gauges(snapshots)
        yield from _counters(snapshots)
        yield from _histograms(snapshots)


def _gauges(snapshots: Sequence[StatsSnapshot]) -> Iterator[Metric]:
    info = InfoMetricFamily("deepclarity_stream", "Source and sink addresses, without passwords", labels=["stream"])
    rates = GaugeMetricFamily(
        "deepclarity_fps", "Frames per second over the last two seconds", labels=["stream", "side"]
    )
    latency = GaugeMetricFamily(
        "deepclarity_latency_seconds", "Age of the last 300 frames at the sink", labels=["stream", "quantile"]
    )
    tier = GaugeMetricFamily("deepclarity_tier", "1 for the active tier", labels=["stream", "tier"])
    state = GaugeMetricFamily(
        "deepclarity_state", "1 for the current state of each side", labels=["stream", "side", "state"]
    )
    queues = GaugeMetricFamily("deepclarity_queue_depth", "Items waiting in each queue", labels=["stream", "queue"])
    for each in snapshots:
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


def _counters(snapshots: Sequence[StatsSnapshot]) -> Iterator[Metric]:
    lanes = CounterMetricFamily("deepclarity_frames", "Frames by lane", labels=["stream", "lane"])
    kinds = CounterMetricFamily("deepclarity_frames_by_kind", "Frames by kind of damage", labels=["stream", "kind"])
    drops = CounterMetricFamily("deepclarity_dropped_frames", "Frames that were dropped", labels=["stream", "reason"])
    for each in snapshots:
        for lane, count in each.lanes.items():
            lanes.add_metric([each.name, lane], count)
        for kind, count in each.kinds.items():
            kinds.add_metric([each.name, kind], count)
        for reason, count in each.drops.items():
            drops.add_metric([each.name, reason], count)
    yield from (lanes, kinds, drops)
    for key, (name, description) in _COUNTERS.items():
        family = CounterMetricFamily(f"deepclarity_{name}", description, labels=["stream"])
        for each in snapshots:
            if key in each.counts:
                family.add_metric([each.name], each.counts[key])
        yield family


def _histograms(snapshots: Sequence[StatsSnapshot]) -> Iterator[Metric]:
    stages = HistogramMetricFamily(
        "deepclarity_stage_seconds", "Processing time per frame and stage", labels=["stream", "stage"]
    )
    ages = HistogramMetricFamily(
        "deepclarity_frame_age_seconds", "Time from a frame's arrival to the sink", labels=["stream"]
    )
    for each in snapshots:
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
