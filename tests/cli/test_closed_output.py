"""Commands whose stdout or stderr is closed or full."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.clips import encode_long_clip
from tests.commands import QUICK, start_command, wait_for_exit
from tests.decoding import frame_times


def run_with_closed_stdout(*arguments: str | Path) -> tuple[int, str]:
    """Exit code and stderr of a command whose stdout pipe has no reader."""
    process = start_command(*arguments)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    return wait_for_exit(process, timeout_s=30)


@pytest.mark.parametrize("command", [["models"], ["--help"], ["--version"], ["upscale", "--help"]])
def test_broken_pipe_exits_silently_with_141(command: Iterable[str]) -> None:
    code, stderr = run_with_closed_stdout(*command)
    assert stderr == ""
    assert code == 141


def test_broken_pipe_does_not_interrupt_upscale(tmp_path: Path) -> None:
    clip = encode_long_clip(tmp_path / "clip.mp4", 10)
    code, stderr = run_with_closed_stdout("upscale", clip, "-o", tmp_path / "out.mp4", *QUICK)
    assert stderr == ""
    assert code in (0, 141)
    assert frame_times(tmp_path / "out.mp4") == frame_times(clip)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "out.mp4"]


@pytest.mark.parametrize("command", [["models"], ["--help"]])
def test_stdout_on_a_full_disk_exits_with_4(command: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        process = subprocess.run(
            [sys.executable, "-m", "deepclarity", *command],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=30,
        )
    assert (process.returncode, process.stderr.count(b"\n")) == (4, 1), process.stderr
    assert b"no space" in process.stderr.lower()


def test_upscale_works_without_stdout_and_stderr(tmp_path: Path) -> None:
    clip = encode_long_clip(tmp_path / "clip.mp4", 10)
    command = [sys.executable, "-m", "deepclarity", "upscale", str(clip), "-o", str(tmp_path / "out.mp4"), *QUICK]
    process = subprocess.run(["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command], check=False, timeout=30)
    assert process.returncode == 0
    assert frame_times(tmp_path / "out.mp4") == frame_times(clip)
