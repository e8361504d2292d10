"""Status line and log output of live commands: one line updated in place, or one line every 10 s."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deepclarity.errors import hide_secrets

from . import output

if TYPE_CHECKING:
    from deepclarity.pipelines.live.metrics import Metrics
    from deepclarity.pipelines.live.sinks import LiveJob
    from deepclarity.pipelines.live.stats import StatsSnapshot

    from .options import LiveRunOptions

log = logging.getLogger(__name__)

_REDRAW_INTERVAL_S, _LINE_INTERVAL_S = 0.5, 10.0
_CLEAR_LINE = "\r\x1b[K"
"""Returns the cursor to the start of the terminal's line and clears the line."""


class StatusLine:
    """One status line on stderr: redrawn in place if stderr is a terminal, else printed every 10 s."""

    def __init__(self, *, quiet: bool, as_json: bool, single: bool = True) -> None:
        """`single`: this is the only status line, so it may be redrawn in place."""
        self._as_json = as_json
        self._drawn = False
        self._terminal = single and not as_json and output.is_terminal()
        self._interval_s = _REDRAW_INTERVAL_S if self._terminal else _LINE_INTERVAL_S
        self._due_s = float("inf") if quiet else time.monotonic() + self._interval_s

    def __call__(self, snapshot: StatsSnapshot) -> None:
        """Show `snapshot` if an update is due."""
        now = time.monotonic()
        if now < self._due_s:
            return
        self._due_s = now + self._interval_s
        if self._as_json:
            logging.getLogger("deepclarity.status").info("status", extra={"snapshot": snapshot})
        elif self._terminal:
            width = shutil.get_terminal_size().columns - 1
            output.write(f"{_CLEAR_LINE}{snapshot.line()[:width]}")
            self._drawn = True
        else:
            output.write_line(snapshot.line())

    def close(self) -> None:
        """Clear the line from the terminal."""
        if self._drawn:
            output.write(_CLEAR_LINE)
            self._drawn = False


class JsonLinesHandler(logging.Handler):
    """Log handler that writes one JSON object per line to stderr: time, level, logger, message, status values."""

    def emit(self, record: logging.LogRecord) -> None:
        from dataclasses import asdict

        entry: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": hide_secrets(record.getMessage()),
        }
        snapshot = getattr(record, "snapshot", None)
        if snapshot is not None:
            entry |= {key: value for key, value in asdict(snapshot).items() if key != "histograms"}
        if record.exc_info and record.exc_info[1] is not None:
            entry["error"] = hide_secrets(f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}")
        output.write_line(json.dumps(entry))


class _AboveStatusLineHandler(logging.Handler):
    """Log handler that clears the status line first, so that a message gets a line of its own."""

    def emit(self, record: logging.LogRecord) -> None:
        clear = _CLEAR_LINE if output.is_terminal() else ""
        output.write_line(f"{clear}{record.levelname.lower()}: {hide_secrets(record.getMessage())}")


def configure_live_logging(*, as_json: bool, quiet: bool) -> None:
    """Log the events of a live stream to stderr as text or JSON, without ever blocking on the reader of stderr."""
    output.start_async()
    log = logging.getLogger("deepclarity")
    if log.level != logging.DEBUG:
        log.setLevel(logging.WARNING if quiet else logging.INFO)
    log.handlers[:] = [JsonLinesHandler() if as_json else _AboveStatusLineHandler()]


def run_live(job: LiveJob, run: LiveRunOptions) -> None:
    """Run one stream, with status line and metrics, until it ends."""
    from deepclarity.pipelines.live.pipeline import Live

    configure_live_logging(as_json=run.log_json, quiet=run.quiet)
    with contextlib.ExitStack() as stack:
        line = stack.enter_context(contextlib.closing(StatusLine(quiet=run.quiet, as_json=run.log_json)))
        stream = stack.enter_context(Live(job, watch=line))
        if run.metrics is not None:
            stack.enter_context(_serve_metrics(lambda: [stream.snapshot()], run))
        stream.run()
        if not run.quiet and not run.log_json:
            line.close()
            output.write_line(stream.snapshot().line())


def run_relays(path: Path, run: LiveRunOptions) -> None:
    """Run every stream of a relay file under one supervisor, until all of them end."""
    from deepclarity.pipelines.live.supervisor import Supervisor, raise_if_no_frames, read_relays

    configure_live_logging(as_json=run.log_json, quiet=run.quiet)
    with contextlib.ExitStack() as stack:
        relays = read_relays(path)
        lines = [StatusLine(quiet=run.quiet, as_json=run.log_json, single=False) for _ in relays]
        supervisor = stack.enter_context(Supervisor(relays))
        if run.metrics is not None:
            stack.enter_context(_serve_metrics(supervisor.snapshots, run))

        def watch(snapshots: Sequence[StatsSnapshot]) -> None:
            for line, snapshot in zip(lines, snapshots, strict=True):
                line(snapshot)

        supervisor.run(seconds=run.seconds, watch=watch)
        raise_if_no_frames(supervisor.snapshots())


def _serve_metrics(snapshots: Callable[[], Sequence[StatsSnapshot]], run: LiveRunOptions) -> Metrics:
    from deepclarity.pipelines.live.metrics import Metrics

    assert run.metrics is not None
    if run.metrics_host not in ("127.0.0.1", "localhost", "::1"):
        log.warning("the metrics port is reachable from other machines: anyone who can connect can read the metrics")
    metrics = Metrics(snapshots, port=run.metrics, host=run.metrics_host)
    log.info("metrics at http://%s:%d/metrics", run.metrics_host, metrics.port)
    return metrics
