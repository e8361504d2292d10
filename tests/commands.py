"""Run `deepclarity` commands, in this process or in a subprocess."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deepclarity.cli.app import run

QUICK = ("--speed", "ultrafast", "--none", "--size", "160x90")
"""Options for a short run, where neither the enhancer nor the output size matters."""


def run_upscale(source: Path, target: Path, *options: str) -> int:
    """Run `deepclarity upscale` in this process with a fast encoder; returns the exit code."""
    return run(["upscale", str(source), "-o", str(target), "--speed", "ultrafast", *options])


def expect_error(capfd: pytest.CaptureFixture[str], folder: Path, *arguments: str | Path, code: int = 2) -> str:
    """Run a command that must fail with `code`; returns its single line on stderr. `folder` must stay unchanged."""
    before = _contents(folder)
    capfd.readouterr()
    assert run([str(argument) for argument in arguments]) == code
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("deepclarity: ")
    assert printed.err.count("\n") == 1
    assert printed.err.endswith("\n")
    assert _contents(folder) == before
    return printed.err


def _contents(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if not path.is_dir()
    }


def start_command(*arguments: str | Path, group: bool = False) -> subprocess.Popen[bytes]:
    """Start `deepclarity` in a subprocess that receives SIGINT even if the tests run in the background.

    `group`: in a process group of its own, as a terminal does.
    """
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "deepclarity", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0 if group else None,
        )
    finally:
        signal.signal(signal.SIGINT, previous)


def wait_for_exit(process: subprocess.Popen[bytes], *, timeout_s: float) -> tuple[int, str]:
    """Exit code and stderr of a process that must end within `timeout_s`."""
    try:
        _, stderr = process.communicate(timeout=timeout_s)
    finally:
        process.kill()
        process.wait()
    return process.returncode, stderr.decode()


def wait_for_size(path: Path, min_bytes: int, process: subprocess.Popen[bytes], *, timeout_s: float = 60) -> None:
    """Wait until `path` has at least `min_bytes`; fails if `process` ends before that."""
    deadline = time.monotonic() + timeout_s
    while _size(path) < min_bytes:
        assert process.poll() is None, f"ended too soon: {process.communicate()}"
        assert time.monotonic() < deadline
        time.sleep(0.005)


def wait_for_file(path: Path, process: subprocess.Popen[bytes], *, timeout_s: float = 60) -> None:
    """Wait until `path` exists; fails if `process` ends before that."""
    deadline = time.monotonic() + timeout_s
    while not path.exists():
        assert process.poll() is None, f"ended too soon: {process.communicate()}"
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
