"""Several relays under one supervisor: each in a process of its own, each begun again when it fails."""

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
from deepclarity.stream.live.state import State, Waiting
from deepclarity.stream.rtsp import ipc
from deepclarity.stream.rtsp.address import Address, sink_address, source_address
from deepclarity.stream.rtsp.subprocess import Subprocess, SubprocessLostError

from .sinks import LiveJob
from .stats import Reading

log = logging.getLogger(__name__)

_OWN_KEYS = {"in": str, "out": str, "transport": str, "audio": bool, "loop": bool, "preset": str, "timeout_s": float}
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_TIMEOUT_S = (0.5, 600.0)
_MOST_RESTARTS, _WITHIN_S = 5, 60.0
_SILENT_S, _LOADING_S = 20.0, 180.0
"""A relay that tells nothing for so long is stuck; it may take longer to load its networks."""
_LEAVE_S = 4.0
_LOOK_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class Relay:
    """One entry of a relay file."""

    name: str
    values: dict[str, Any]
    """Its keys: `in`, `out`, `transport`, `audio`, `loop`, `preset`, `timeout_s`, and any of a preset's."""

    def job(self) -> LiveJob:
        """What it asks for; UsageError where that cannot be."""
        values = dict(self.values)
        own = {key: values.pop(key) for key in _OWN_KEYS if key in values}
        timeout_s = float(own.get("timeout_s", 5.0))
        if not _TIMEOUT_S[0] <= timeout_s <= _TIMEOUT_S[1]:
            raise UsageError(
                f"relay {self.name}: timeout_s {timeout_s:g}: between {_TIMEOUT_S[0]} and {_TIMEOUT_S[1]:g}."
            )
        base = load_preset(own.get("preset", "live"))
        preset = preset_from({**_plain(base), **values}, where=f"of relay {self.name}")
        return LiveJob(
            source_address(own["in"], transport=own.get("transport", "tcp"), timeout_s=timeout_s),
            server=sink_address(own["out"], timeout_s=timeout_s),
            preset=preset,
            name=self.name,
            sound=own.get("audio", True),
            loop=own.get("loop", False),
            waiting=Waiting(timeout_s, timeout_s),
        )


def read_relays(path: Path) -> list[Relay]:
    """The relays of a TOML file, a table `[relay.NAME]` each; `${NAME}` stands for an environment variable.

    Raises UsageError for anything in it that cannot be used.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}). Check the path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}.") from error
    named = tables.pop("relay", {})
    if not isinstance(named, dict) or not named:
        raise UsageError(f"{path}: no relay in it. Begin one with [relay.NAME], then in = … and out = ….")
    relays = []
    for name, table in named.items():
        if not isinstance(table, dict):
            raise UsageError(f"{path}: relay.{name} is not a table. Write [relay.{name}] above its keys.")
        relay = Relay(name, _checked({**tables, **table}, where=f"{path}: relay {name}"))
        try:
            relay.job().check()
        except DeepClarityError as error:
            raise UsageError(f"{path}: relay {hide_secrets(name)}: {error}") from error
        relays.append(relay)
    _check_targets(path, relays)
    return relays


def _check_targets(path: Path, relays: Sequence[Relay]) -> None:
    """No two relays may publish to one place: they would push each other off for ever."""
    taken: list[tuple[str, Address]] = []
    for relay in relays:
        server = relay.job().server
        assert server is not None
        for name, other in taken:
            if server.is_same(other):
                raise UsageError(f"{path}: relays {name} and {relay.name} publish to the same place.")
        taken.append((relay.name, server))


def _checked(table: dict[str, Any], *, where: str) -> dict[str, Any]:
    known = [*_OWN_KEYS, *(item.name for item in fields(Preset))]
    for key, value in table.items():
        if key not in known:
            raise UsageError(f"{where}: unknown key '{key}'; {did_you_mean(key, known)}")
        wanted = _OWN_KEYS.get(key)
        fits = isinstance(value, (int, float) if wanted is float else wanted or object)
        if wanted is not None and (not fits or (wanted is float and isinstance(value, bool))):
            raise UsageError(f"{where}: {key} wants {wanted.__name__}, not {type(value).__name__}.")
    for key in ("in", "out"):
        if key not in table:
            raise UsageError(f"{where}: no '{key}'. Say where it comes from (in) and goes to (out).")
    return {key: _filled(value, where) if isinstance(value, str) else value for key, value in table.items()}


def _filled(text: str, where: str) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise UsageError(f"{where}: the environment has no {match[1]}. Set it, or write the value itself.")
        return os.environ[match[1]]

    return _VARIABLE.sub(value, text)


def _plain(preset: Preset) -> dict[str, Any]:
    values = {item.name: getattr(preset, item.name) for item in fields(Preset)}
    return {key: value for key, value in values.items() if value is not None}


class _SupervisedProcess:
    """One relay and the process that runs it."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        job = relay.job()
        self.reading = Reading(relay.name, source=job.source.label, sink=job.server.label if job.server else "")
        self.restarts = 0
        self._began: deque[float] = deque(maxlen=_MOST_RESTARTS)
        self._heard_s = 0.0
        self._limit_s = _LOADING_S
        self.subprocess: Subprocess | None = None
        self.ended = False
        """Whether its source was a file, which has come to its end."""

    def look(self) -> None:
        """Hear what it has to say; begin it, or begin it again, where it is time to."""
        now = time.monotonic()
        if self.ended:
            return
        if self.subprocess is None:
            if len(self._began) < _MOST_RESTARTS or now - self._began[0] >= _WITHIN_S:
                self._begin(now)
            return
        while (message := self.subprocess.inbox.take(0)) is not None:
            self._heard_s = now
            if message.kind == "ended":
                self._end()
                return
            self._hear(message)
        if self.subprocess.inbox.ended:
            self._failed("its process died")
        elif now - self._heard_s > self._limit_s:
            self._failed(f"nothing was heard of it for {self._limit_s:g} s")

    def close(self) -> None:
        """End it now."""
        if self.subprocess is not None:
            self.subprocess.close()
            self.subprocess = None

    def _begin(self, now: float) -> None:
        self._began.append(now)
        self._heard_s, self._limit_s = now, _LOADING_S
        try:
            self.subprocess = Subprocess("deepclarity.pipelines.live.relay_process")
            self.subprocess.send(ipc.Message("run", {"name": self.relay.name, "values": self.relay.values}))
        except SubprocessLostError as error:
            self._failed(str(error))

    def _hear(self, message: ipc.Message) -> None:
        if message.kind == "reading":
            self._limit_s = _SILENT_S
            self.reading = Reading(**message.body)
            self.reading.counts["restarts"] = self.restarts
        elif message.kind == "log":
            log.log(message.body["level"], "%s: %s", self.relay.name, hide_secrets(message.body["text"]))

    def _end(self) -> None:
        """Its file has come to its end, which is no failure."""
        self.close()
        self.ended = True
        self.reading.source_state = self.reading.sink_state = State.ENDED.value
        log.info("%s: its file has ended", self.relay.name)

    def _failed(self, reason: str) -> None:
        self.close()
        self.restarts += 1
        self.reading.source_state = self.reading.sink_state = "reconnecting"
        self.reading.reason = reason
        self.reading.counts["restarts"] = self.restarts
        often = len(self._began) == _MOST_RESTARTS and time.monotonic() - self._began[0] < _WITHIN_S
        pause = f"; {_MOST_RESTARTS} times within a minute, so it rests" if often else ""
        log.error("%s: %s; beginning it again%s", self.relay.name, reason, pause)


class Supervisor:
    """`with Supervisor(relays) as supervisor: supervisor.run()`. Leaving the block ends every relay in good order."""

    def __init__(self, relays: Sequence[Relay]) -> None:
        self._processes = [_SupervisedProcess(relay) for relay in relays]

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        running = [ward for ward in self._processes if ward.subprocess is not None]
        for ward in running:
            assert ward.subprocess is not None
            ward.subprocess.dismiss()
        deadline = time.monotonic() + _LEAVE_S
        for ward in running:
            assert ward.subprocess is not None
            ward.subprocess.finish(patience_s=max(0.0, deadline - time.monotonic()))

    def readings(self) -> list[Reading]:
        """How each is doing, in the file's order."""
        return [ward.reading for ward in self._processes]

    def run(
        self,
        *,
        seconds: float | None = None,
        watch: Callable[[list[Reading]], object] = lambda readings: None,
    ) -> None:
        """Until `seconds` are over, or every relay's file has ended."""
        until = None if seconds is None else time.monotonic() + seconds
        while (until is None or time.monotonic() < until) and not all(ward.ended for ward in self._processes):
            for ward in self._processes:
                ward.look()
            watch(self.readings())
            ipc.ready([ward.subprocess.inbox for ward in self._processes if ward.subprocess is not None], _LOOK_EVERY_S)


def check_alive(readings: Sequence[Reading]) -> None:
    """DeviceError where not one relay has ever worked."""
    if readings and not any(each.counts.get("frames_in") for each in readings):
        raise DeviceError("not one relay got a picture. Check the addresses, and the messages above.")
