"""What a running live command shows: one line that is kept up to date, or a line now and then."""

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
    from deepclarity.pipelines.live.stats import Reading

    from .options import LiveRun

log = logging.getLogger(__name__)

_REDRAW_S, _LINE_S = 0.5, 10.0
_WIPE = "\r\x1b[K"
"""Back to the beginning of the terminal's line, and empty it."""


class StatusLine:
    """One line on stderr: drawn over where stderr is a terminal, else written every ten seconds."""

    def __init__(self, *, quiet: bool, as_json: bool, single: bool = True) -> None:
        """`single`: whether it is the only one, and may be drawn over."""
        self._as_json = as_json
        self._drawn = False
        self._terminal = single and not as_json and output.is_terminal()
        self._every_s = _REDRAW_S if self._terminal else _LINE_S
        self._due_s = float("inf") if quiet else time.monotonic() + self._every_s

    def __call__(self, reading: Reading) -> None:
        """Show it, if it is time to."""
        now = time.monotonic()
        if now < self._due_s:
            return
        self._due_s = now + self._every_s
        if self._as_json:
            logging.getLogger("deepclarity.status").info("status", extra={"reading": reading})
        elif self._terminal:
            width = shutil.get_terminal_size().columns - 1
            output.say(f"{_WIPE}{reading.line()[:width]}", newline=False)
            self._drawn = True
        else:
            output.say(reading.line())

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._drawn:
            output.say(_WIPE, newline=False)
            self._drawn = False


class JsonLines(logging.Handler):
    """A JSON object a line on stderr: time, level, logger, message, and a reading's values."""

    def emit(self, record: logging.LogRecord) -> None:
        from dataclasses import asdict

        said: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": hide_secrets(record.getMessage()),
        }
        reading = getattr(record, "reading", None)
        if reading is not None:
            said |= {key: value for key, value in asdict(reading).items() if key != "histograms"}
        if record.exc_info and record.exc_info[1] is not None:
            said["error"] = hide_secrets(f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}")
        output.say(json.dumps(said))


class _BesideTheLine(logging.Handler):
    """Messages on lines of their own, whatever stands on the terminal's last."""

    def emit(self, record: logging.LogRecord) -> None:
        wipe = _WIPE if output.is_terminal() else ""
        output.say(f"{wipe}{record.levelname.lower()}: {hide_secrets(record.getMessage())}")


def listen(*, as_json: bool, quiet: bool) -> None:
    """Tell what happens to a live stream, in words or in JSON, and never wait for whoever reads it."""
    output.begin()
    log = logging.getLogger("deepclarity")
    if log.level != logging.DEBUG:
        log.setLevel(logging.WARNING if quiet else logging.INFO)
    log.handlers[:] = [JsonLines() if as_json else _BesideTheLine()]


def run_live(job: LiveJob, run: LiveRun) -> None:
    """Run one stream, with status line and metrics, until it ends."""
    from deepclarity.pipelines.live.pipeline import Live

    listen(as_json=run.log_json, quiet=run.quiet)
    with contextlib.ExitStack() as opened:
        line = opened.enter_context(contextlib.closing(StatusLine(quiet=run.quiet, as_json=run.log_json)))
        stream = opened.enter_context(Live(job, watch=line))
        if run.metrics is not None:
            opened.enter_context(_metrics(lambda: [stream.reading()], run))
        stream.run()
        if not run.quiet and not run.log_json:
            line.close()
            output.say(stream.reading().line())


def run_relays(path: Path, run: LiveRun) -> None:
    """Run the streams of a relay file under one supervisor."""
    from deepclarity.pipelines.live.supervisor import Supervisor, check_alive, read_relays

    listen(as_json=run.log_json, quiet=run.quiet)
    with contextlib.ExitStack() as opened:
        relays = read_relays(path)
        lines = [StatusLine(quiet=run.quiet, as_json=run.log_json, single=False) for _ in relays]
        supervisor = opened.enter_context(Supervisor(relays))
        if run.metrics is not None:
            opened.enter_context(_metrics(supervisor.readings, run))

        def watch(readings: Sequence[Reading]) -> None:
            for line, each in zip(lines, readings, strict=True):
                line(each)

        supervisor.run(seconds=run.seconds, watch=watch)
        check_alive(supervisor.readings())


def _metrics(readings: Callable[[], Sequence[Reading]], run: LiveRun) -> Metrics:
    from deepclarity.pipelines.live.metrics import Metrics

    assert run.metrics is not None
    if run.metrics_host not in ("127.0.0.1", "localhost", "::1"):
        log.warning("metrics are served beyond this machine: anybody who reaches it can read them")
    metrics = Metrics(readings, port=run.metrics, host=run.metrics_host)
    log.info("metrics at http://%s:%d/metrics", run.metrics_host, metrics.port)
    return metrics
