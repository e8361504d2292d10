"""Supervisor: runs each relay of a relay file in its own process and restarts those that fail."""

from __future__ import annotations

import logging
import os
import re
import time
import tomllib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

from deepclarity.errors import DeepClarityError, DeviceError, UsageError, did_you_mean, hide_secrets
from deepclarity.pipelines.preset import Preset, load_preset, preset_from
from deepclarity.stream.live.state import State, Timeouts
from deepclarity.stream.rtsp import ipc
from deepclarity.stream.rtsp.address import Address, sink_address, source_address
from deepclarity.stream.rtsp.subprocess import Subprocess, SubprocessLostError

from .sinks import LiveJob
from .stats import StatsSnapshot

log = logging.getLogger(__name__)

_RELAY_KEYS = {
    "in": str, "out": str, "transport": str, "audio": bool, "loop": bool, "preset": str, "timeout_s": float,
    "insecure_tls": bool,
}  # fmt: skip
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_TIMEOUT_RANGE_S = (0.5, 600.0)
_MAX_RESTARTS, _RESTART_WINDOW_S = 5, 60.0
_SILENCE_TIMEOUT_S, _START_TIMEOUT_S = 20.0, 180.0
"""A relay that sends nothing for this long is stuck; loading its networks may take longer."""
_SHUTDOWN_TIMEOUT_S = 4.0
_POLL_INTERVAL_S = 0.25


@dataclass(frozen=True, slots=True)
class RelayConfig:
    """One entry of a relay file."""

    name: str
    values: dict[str, Any]
    """Its keys: `in`, `out`, `transport`, `audio`, `loop`, `preset`, `timeout_s`, `insecure_tls`, and a preset's."""

    def job(self) -> LiveJob:
        """The live job it describes; raises UsageError for invalid values."""
        values = dict(self.values)
        options = {key: values.pop(key) for key in _RELAY_KEYS if key in values}
        timeout_s = options.get("timeout_s", 5.0)
        if not _TIMEOUT_RANGE_S[0] <= timeout_s <= _TIMEOUT_RANGE_S[1]:  # an integer may be too large for a float
            raise UsageError(
                f"relay {self.name}: timeout_s {str(timeout_s)[:20]}: "
                f"must be between {_TIMEOUT_RANGE_S[0]} and {_TIMEOUT_RANGE_S[1]:g}."
            )
        peers: dict[str, Any] = {"timeout_s": float(timeout_s), "insecure_tls": options.get("insecure_tls", False)}
        base = load_preset(options.get("preset", "live"))
        preset = preset_from({**_as_dict(base), **values}, where=f"of relay {self.name}")
        return LiveJob(
            source_address(options["in"], transport=options.get("transport", "tcp"), **peers),
            server=sink_address(options["out"], **peers),
            preset=preset,
            name=self.name,
            audio=options.get("audio", True),
            loop=options.get("loop", False),
            timeouts=Timeouts(float(timeout_s), float(timeout_s)),
        )


def read_relays(path: Path) -> list[RelayConfig]:
    """Read the relays of a TOML file, one table `[relay.NAME]` each; `${NAME}` is replaced by an environment variable.

    Raises UsageError for any invalid entry.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}). Check the path.") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}.") from error
    entries = tables.pop("relay", {})
    if not isinstance(entries, dict) or not entries:
        raise UsageError(f"{path}: no relay in it. Add one: a line [relay.NAME], then in = … and out = ….")
    relays = []
    for name, table in entries.items():
        if not isinstance(table, dict):
            raise UsageError(f"{path}: relay.{name} is not a table. Write [relay.{name}] above its keys.")
        relay = RelayConfig(name, _validated({**tables, **table}, where=f"{path}: relay {name}"))
        try:
            relay.job().check()
        except DeepClarityError as error:
            raise UsageError(f"{path}: relay {hide_secrets(name)}: {error}") from error
        relays.append(relay)
    _check_targets(path, relays)
    return relays


def _check_targets(path: Path, relays: Sequence[RelayConfig]) -> None:
    """Two relays must not publish to the same address: they would disconnect each other for ever."""
    servers: list[tuple[str, Address]] = []
    for relay in relays:
        server = relay.job().server
        assert server is not None
        for name, other in servers:
            if server.same_endpoint(other):
                raise UsageError(f"{path}: relays {name} and {relay.name} publish to the same place.")
        servers.append((relay.name, server))


def _validated(table: dict[str, Any], *, where: str) -> dict[str, Any]:
    known = [*_RELAY_KEYS, *(item.name for item in fields(Preset))]
    for key, value in table.items():
        if key not in known:
            raise UsageError(f"{where}: unknown key '{key}'; {did_you_mean(key, known)}")
        expected = _RELAY_KEYS.get(key)
        valid = isinstance(value, (int, float) if expected is float else expected or object)
        if expected is not None and (not valid or (expected is float and isinstance(value, bool))):
            raise UsageError(f"{where}: {key} must be of type {expected.__name__}, not {type(value).__name__}.")
    for key in ("in", "out"):
        if key not in table:
            raise UsageError(f"{where}: no '{key}'. Set both the source (in) and the target (out).")
    return {key: _expand_variables(value, where) if isinstance(value, str) else value for key, value in table.items()}


def _expand_variables(text: str, where: str) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise UsageError(f"{where}: environment variable {match[1]} is not set. Set it, or write the value itself.")
        return os.environ[match[1]]

    return _VARIABLE.sub(value, text)


def _as_dict(preset: Preset) -> dict[str, Any]:
    values = {item.name: getattr(preset, item.name) for item in fields(Preset)}
    return {key: value for key, value in values.items() if value is not None}


class _SupervisedProcess:
    """One relay and the subprocess that runs it."""

    def __init__(self, relay: RelayConfig) -> None:
        self.relay = relay
        job = relay.job()
        self.snapshot = StatsSnapshot(relay.name, source=job.source.label, sink=job.server.label if job.server else "")
        self.restarts = 0
        self._start_times: deque[float] = deque(maxlen=_MAX_RESTARTS)
        self._last_message_s = 0.0
        self._timeout_s = _START_TIMEOUT_S
        self.subprocess: Subprocess | None = None
        self.ended = False
        """Whether its source was a file that has ended."""

    def poll(self) -> None:
        """Handle its messages; start or restart it when due."""
        now = time.monotonic()
        if self.ended:
            return
        if self.subprocess is None:
            if not self._restart_limit_hit():
                self._start(now)
            return
        while (message := self.subprocess.inbox.receive(0)) is not None:
            self._last_message_s = now
            if message.kind == "ended":
                self._on_ended()
                return
            self._handle(message)
        if self.subprocess.inbox.ended:
            self._on_failed("its process died")
        elif now - self._last_message_s > self._timeout_s:
            self._on_failed(f"no message from its process for {self._timeout_s:g} s")

    def close(self) -> None:
        """Kill its process."""
        if self.subprocess is not None:
            self.subprocess.close()
            self.subprocess = None

    def _restart_limit_hit(self) -> bool:
        if len(self._start_times) < _MAX_RESTARTS:
            return False
        return time.monotonic() - self._start_times[0] < _RESTART_WINDOW_S

    def _start(self, now: float) -> None:
        self._start_times.append(now)
        self._last_message_s, self._timeout_s = now, _START_TIMEOUT_S
        try:
            self.subprocess = Subprocess("deepclarity.pipelines.live.relay_process")
            self.subprocess.send(ipc.Message("run", {"name": self.relay.name, "values": self.relay.values}))
        except SubprocessLostError as error:
            self._on_failed(str(error))

    def _handle(self, message: ipc.Message) -> None:
        if message.kind == "snapshot":
            self._timeout_s = _SILENCE_TIMEOUT_S
            self.snapshot = StatsSnapshot(**message.fields)
            self.snapshot.counts["restarts"] = self.restarts
        elif message.kind == "log":
            log.log(message.fields["level"], "%s: %s", self.relay.name, hide_secrets(message.fields["text"]))

    def _on_ended(self) -> None:
        """Its source was a file that has ended, which is not a failure."""
        self.close()
        self.ended = True
        self.snapshot.source_state = self.snapshot.sink_state = State.ENDED.value
        log.info("%s: end of file", self.relay.name)

    def _on_failed(self, reason: str) -> None:
        self.close()
        self.restarts += 1
        self.snapshot.source_state = self.snapshot.sink_state = "reconnecting"
        self.snapshot.reason = reason
        self.snapshot.counts["restarts"] = self.restarts
        pause = f" after a pause: it failed {_MAX_RESTARTS} times within a minute" if self._restart_limit_hit() else ""
        log.error("%s: %s; restarting it%s", self.relay.name, reason, pause)


class Supervisor:
    """`with Supervisor(relays) as supervisor: supervisor.run()`. Leaving the block stops every relay cleanly."""

    def __init__(self, relays: Sequence[RelayConfig]) -> None:
        self._processes = [_SupervisedProcess(relay) for relay in relays]

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        running = self._subprocesses()
        for subprocess in running:
            subprocess.close_stdin()
        deadline = time.monotonic() + _SHUTDOWN_TIMEOUT_S
        for subprocess in running:
            subprocess.finish(timeout_s=max(0.0, deadline - time.monotonic()))

    def snapshots(self) -> list[StatsSnapshot]:
        """The latest stats of each relay, in the order of the file."""
        return [process.snapshot for process in self._processes]

    def run(
        self,
        *,
        seconds: float | None = None,
        watch: Callable[[list[StatsSnapshot]], object] = lambda snapshots: None,
    ) -> None:
        """Run until `seconds` have passed or every relay's file has ended; `watch` is called with every poll."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while (deadline is None or time.monotonic() < deadline) and not all(each.ended for each in self._processes):
            for process in self._processes:
                process.poll()
            watch(self.snapshots())
            ipc.wait_any([subprocess.inbox for subprocess in self._subprocesses()], _POLL_INTERVAL_S)

    def _subprocesses(self) -> list[Subprocess]:
        return [process.subprocess for process in self._processes if process.subprocess is not None]


def raise_if_no_frames(snapshots: Sequence[StatsSnapshot]) -> None:
    """Raise DeviceError if no relay has ever received a frame."""
    if snapshots and not any(each.counts.get("frames_in") for each in snapshots):
        raise DeviceError("no relay received a frame. Check the addresses, and the messages above.")
