"""Signals during `upscale`: prompt exit, exit code and a playable partial file."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.clips import encode_long_clip
from tests.commands import QUICK, start_command, wait_for_exit, wait_for_size
from tests.decoding import frame_times

LONG = 300
"""Frames: many more than are encoded before the signal arrives."""

SLOW = (*QUICK, "--size", "384x216", "--speed", "medium")
"""Nearly all time is spent in the encoder, so that is where the signal arrives."""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("extension", ["mp4", "mkv"])
def test_signal_stops_upscale_and_leaves_a_playable_partial_file(
    tmp_path: Path, number: signal.Signals, code: int, extension: str
) -> None:
    clip, target = encode_long_clip(tmp_path / "clip.mp4"), tmp_path / f"out.{extension}"
    process = start_command("upscale", clip, "-o", target, *SLOW)
    wait_for_size(tmp_path / f"out.partial.{extension}", 6_000, process)
    process.send_signal(number)
    exit_code, stderr = wait_for_exit(process, timeout_s=5)
    assert exit_code == code, stderr
    assert not target.exists()
    written = frame_times(tmp_path / f"out.partial.{extension}")
    assert 20 < len(written) < LONG
    tolerance = 0.001 if extension == "mkv" else 0
    late = [
        number for number, (a, b) in enumerate(zip(written, frame_times(clip), strict=False)) if abs(a - b) > tolerance
    ]
    assert late == []  # no gap at the signal
    assert stderr.count("\n") == 1
    assert stderr.startswith("deepclarity: ")


def test_repeated_ctrl_c_stops_upscale(tmp_path: Path) -> None:
    clip, target = encode_long_clip(tmp_path / "clip.mp4"), tmp_path / "out.mp4"
    process = start_command("upscale", clip, "-o", target, *SLOW)
    wait_for_size(tmp_path / "out.partial.mp4", 6_000, process)
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.002)  # as when the user presses Ctrl-C several times
    exit_code, stderr = wait_for_exit(process, timeout_s=5)
    assert exit_code in (130, -signal.SIGINT)
    assert "Traceback" not in stderr
    assert not target.exists()


def test_ctrl_c_before_the_first_frame_leaves_no_files(tmp_path: Path) -> None:
    clip = encode_long_clip(tmp_path / "clip.mp4", 20)
    process = start_command("upscale", clip, "-o", tmp_path / "out.mp4", *QUICK)
    process.send_signal(signal.SIGINT)
    exit_code, stderr = wait_for_exit(process, timeout_s=5)
    assert exit_code in (130, -signal.SIGINT)  # the second if Python had not installed its handler yet
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"], stderr
