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

from tests.rtsp.wait import wait_until

QUICK = ("--speed", "ultrafast", "--size", "640x360", "--none")
"""Options that make a relay cheap, for tests in which picture quality does not matter."""


class CliProcess:
    """Runs one command within a `with` block; killed at the end if still running."""

    def __init__(self, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  closed on leaving
        with default_signals():
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deepclarity", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                env={**os.environ, **(environment or {})},
            )
        self.started_s = time.monotonic()

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
        self._output.close()

    @property
    def output(self) -> str:
        """Its output so far."""
        with Path(f"/proc/self/fd/{self._output.fileno()}").open("rb") as file:
            return file.read().decode()

    def wait_for_output(self, text: str, *, timeout_s: float = 15.0) -> None:
        """Wait until its output contains `text`."""
        wait_until(lambda: text in self.output, timeout_s=timeout_s, what=lambda: f"'{text}' in: {self.output}")

    def metrics(self) -> dict[str, float]:
        """Its current metrics by name and labels; the port is read from its output."""
        return parse_metrics(fetch(self.metrics_url("/metrics"))[1])

    def metrics_url(self, path: str) -> str:
        """URL of `path` on its metrics server."""
        found = re.search(r"metrics at (http://[^/]+)/", self.output)
        assert found, f"no metrics in: {self.output}"
        return found[1] + path

    def stop(self, number: int, *, timeout_s: float = 5.0) -> tuple[int, float]:
        """Send a signal; returns the exit code and the seconds until exit."""
        sent_s = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(timeout_s)
        return code, time.monotonic() - sent_s

    def child_pids(self) -> list[int]:
        """PIDs of all its descendants."""
        return descendants(self.process.pid)


@contextlib.contextmanager
def default_signals() -> Iterator[None]:
    """Processes started inside receive SIGINT and SIGHUP, even if the tests were started with both ignored."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def fetch(address: str) -> tuple[int, str]:
    """Status and body of an HTTP address."""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def parse_metrics(text: str) -> dict[str, float]:
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
        try:
            processes = task.read_text().split()
        except (FileNotFoundError, ProcessLookupError):  # the thread has just ended
            continue
        for process in processes:
            below += [int(process), *descendants(int(process))]
    return below


def resources(pid: int) -> tuple[int, int, float]:
    """Threads, open descriptors and resident megabytes of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    threads = int(re.search(r"Threads:\s+(\d+)", status)[1])  # type: ignore[index]
    resident = int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]
    return threads, len(list(Path(f"/proc/{pid}/fd").iterdir())), resident


def alive(pids: list[int]) -> list[int]:
    """Those of `pids` that are still running."""
    return [pid for pid in pids if Path(f"/proc/{pid}").exists() and not _is_zombie(pid)]


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def pause(seconds: float) -> None:
    """Wait in real time, for tests of timing."""
    threading.Event().wait(seconds)
