"""Runs `deepclarity relay` and `live` as a user would: process, messages, metrics, exit."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.rtsp.wait import until

QUICK = ("--speed", "ultrafast", "--size", "640x360", "--none")
"""What keeps a relay cheap where the picture is not the point."""


class Running:
    """One command, from entering to leaving; killed if it is still there then."""

    def __init__(self, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  closed on leaving
        with signals_heard():
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deepclarity", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._said,
                env={**os.environ, **(environment or {})},
            )
        self.began_s = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(8)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._said.close()

    @property
    def said(self) -> str:
        """All that it has written so far."""
        with Path(f"/proc/self/fd/{self._said.fileno()}").open("rb") as again:
            return again.read().decode()

    def wait_until_said(self, words: str, *, timeout_s: float = 15.0) -> None:
        """Until `words` are in what it says."""
        until(lambda: words in self.said, timeout_s=timeout_s, what=lambda: f"'{words}' in: {self.said}")

    def metrics(self) -> dict[str, float]:
        """Its metrics now, by name and labels as they are written; the port is read from its first words."""
        return parsed(fetched(self.metrics_address("/metrics"))[1])

    def metrics_address(self, path: str) -> str:
        """Where it serves `path`."""
        found = re.search(r"metrics at (http://[^/]+)/", self.said)
        assert found, f"no metrics in: {self.said}"
        return found[1] + path

    def end(self, number: int, *, limit_s: float = 5.0) -> tuple[int, float]:
        """Send it a signal; its exit code, and how many seconds it took to go."""
        began = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(limit_s)
        return code, time.monotonic() - began

    def family(self) -> list[int]:
        """The numbers of the processes that it has begun, theirs too."""
        return descendants(self.process.pid)


@contextlib.contextmanager
def signals_heard() -> Iterator[None]:
    """What is started inside hears SIGINT and SIGHUP, although the tests may have been started with both ignored."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def fetched(address: str) -> tuple[int, str]:
    """Status and body of an HTTP address."""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def parsed(text: str) -> dict[str, float]:
    """Samples of a Prometheus page by `name{labels}`, the stream's label left out."""
    samples = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            samples[re.sub(r',?stream="[^"]*"', "", name).replace("{,", "{").replace("{}", "")] = float(value)
    return samples


def descendants(pid: int) -> list[int]:
    """Processes below `pid`, by the kernel's own list."""
    below = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for process in task.read_text().split():
            below += [int(process), *descendants(int(process))]
    return below


def resources(pid: int) -> tuple[int, int, float]:
    """Threads, open descriptors and resident megabytes of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    threads = int(re.search(r"Threads:\s+(\d+)", status)[1])  # type: ignore[index]
    resident = int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]
    return threads, len(list(Path(f"/proc/{pid}/fd").iterdir())), resident


def alive(pids: list[int]) -> list[int]:
    """Those of `pids` that still run."""
    return [pid for pid in pids if Path(f"/proc/{pid}").exists() and not _is_zombie(pid)]


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def settle(seconds: float) -> None:
    """Let real time pass: what is tested here is time itself."""
    threading.Event().wait(seconds)
