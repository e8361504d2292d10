"""Missing, damaged and unusual input files: one line of error, the right exit code, no files left."""

from __future__ import annotations

import os
from pathlib import Path

import av
import numpy as np
import pytest

from deepclarity.cli.app import run
from tests.clips import ClipSpec, add_audio, encode_audio, encode_clip
from tests.commands import QUICK, expect_error, start_command
from tests.conftest import MakeClip
from tests.decoding import decode_frames, frame_times

Capture = pytest.CaptureFixture[str]


def summary_frame_counts(stdout: str) -> tuple[int, int]:
    """Frames (in, out) from the summary."""
    words = next(line for line in stdout.splitlines() if line.startswith("  frames")).split()
    return int(words[1]), int(words[3])


def write_invalid_input(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.mp4"
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("This is text, not a video.\n" * 200)
    elif kind == "zeros":
        path.write_bytes(bytes(100_000))
    elif kind == "folder":
        path.mkdir()
    elif kind == "audio":
        with av.open(str(path), "w") as container:
            encode_audio(container, add_audio(container), seconds=0.2)
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "no such file"),
        ("empty", "empty"),
        ("text", "not a video"),
        ("zeros", "not a video"),
        ("folder", "directory"),
        ("audio", "no video in it"),
    ],
)
def test_upscale_refuses_files_without_video(tmp_path: Path, capfd: Capture, kind: str, message: str) -> None:
    path = write_invalid_input(tmp_path, kind)
    stderr = expect_error(capfd, tmp_path, "upscale", path, "-o", tmp_path / "out.mp4")
    assert message in stderr
    assert str(path) in stderr


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "audio"])
def test_detect_refuses_files_without_video(tmp_path: Path, capfd: Capture, kind: str) -> None:
    path = write_invalid_input(tmp_path, kind)
    assert str(path) in expect_error(capfd, tmp_path, "detect", path)


def test_missing_mp4_index_is_named_in_the_error(make_clip: MakeClip, tmp_path: Path, capfd: Capture) -> None:
    complete = make_clip(count=40, size=(160, 90)).read_bytes()
    assert complete.find(b"moov") > complete.find(b"mdat")
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(complete[: len(complete) // 2])
    assert "index is missing" in expect_error(capfd, tmp_path, "upscale", cut, "-o", tmp_path / "out.mp4")


def test_file_truncated_in_the_first_frame_is_refused(tmp_path: Path, capfd: Capture) -> None:
    complete = encode_clip(
        tmp_path / "complete.mp4", ClipSpec(container_options={"movflags": "faststart"})
    ).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(complete[: complete.find(b"mdat") + 40])
    expect_error(capfd, tmp_path, "upscale", cut, "-o", tmp_path / "out.mp4")


def test_truncated_file_keeps_every_remaining_frame_and_exits_with_3(tmp_path: Path, capfd: Capture) -> None:
    spec = ClipSpec(count=40, options={"g": "5"}, container_options={"movflags": "faststart"})
    complete = encode_clip(tmp_path / "complete.mp4", spec).read_bytes()
    cut, target = tmp_path / "cut.mp4", tmp_path / "out.mp4"
    cut.write_bytes(complete[: len(complete) * 6 // 10])
    assert run(["upscale", str(cut), "-o", str(target), *QUICK]) == 3
    remaining = frame_times(cut)
    assert 10 < len(remaining) < 35
    assert frame_times(target) == remaining == frame_times(tmp_path / "complete.mp4")[: len(remaining)]
    printed = capfd.readouterr()
    assert summary_frame_counts(printed.out) == (len(remaining), len(remaining))
    assert printed.err.startswith("deepclarity: ")
    assert printed.err.count("\n") == 1
    assert f"all {len(remaining)} frames" in printed.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["complete.mp4", "cut.mp4", "out.mp4"]


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts", "avi"])
def test_damaged_packets_lose_only_their_own_frames(tmp_path: Path, capfd: Capture, container: str) -> None:
    complete = encode_clip(tmp_path / f"complete.{container}", ClipSpec(count=40, options={"g": "5"}))
    data = bytearray(complete.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = b"\xa5" * 600
    broken, target = tmp_path / f"broken.{container}", tmp_path / "out.mkv"
    broken.write_bytes(data)
    code = run(["upscale", str(broken), "-o", str(target), *QUICK])
    printed = capfd.readouterr()
    assert code in (0, 3), printed.err
    frames_in, frames_out = summary_frame_counts(printed.out)
    after, before = decode_frames(target), decode_frames(complete)
    assert frames_in == frames_out == len(after) >= 30
    damaged = [frame for frame in after if min(abs(frame.brightness - b.brightness) for b in before) > 5]
    assert len(damaged) <= 10  # at most two groups of pictures


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts", "avi"])
@pytest.mark.parametrize("seed", range(4))
def test_flipped_bytes_never_crash_upscale(tmp_path: Path, capfd: Capture, container: str, seed: int) -> None:
    data = bytearray(encode_clip(tmp_path / f"complete.{container}", ClipSpec(count=12)).read_bytes())
    rng = np.random.default_rng(seed)
    for position in rng.integers(0, len(data), max(4, len(data) // 1000)):
        data[position] ^= int(rng.integers(1, 256))
    broken, target = tmp_path / f"broken.{container}", tmp_path / "out.mp4"
    broken.write_bytes(data)
    code = run(["upscale", str(broken), "-o", str(target), *QUICK])
    stderr = capfd.readouterr().err
    assert code in (0, 2, 3), stderr
    assert "Traceback" not in stderr
    assert target.exists() == (code != 2)
    if target.exists():
        assert len(decode_frames(target)) >= 1


@pytest.mark.parametrize("name", [os.fsdecode(b"cl\xffip.mp4"), "a clip, 100 % [1] 'so' #2.mp4", "映画.mp4", "-n.mp4"])
def test_unusual_file_names_work(clip: Path, tmp_path: Path, name: str) -> None:
    clip.rename(tmp_path / name)
    target = tmp_path / f"out {name}"
    assert run(["upscale", "-o", str(target), *QUICK, str(tmp_path / name)]) == 0
    assert len(decode_frames(target)) == 4


def test_colon_in_file_name_is_not_taken_for_a_protocol(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip.rename(tmp_path / "take 12:30.mp4")
    monkeypatch.chdir(tmp_path)
    assert run(["upscale", "take 12:30.mp4", "-o", "repaired 12:30.mp4", *QUICK]) == 0
    assert len(decode_frames(tmp_path / "repaired 12:30.mp4")) == 4


@pytest.mark.parametrize("command", ["upscale", "detect"])
def test_error_for_a_url_as_input_file_hides_the_password(
    tmp_path: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    stderr = expect_error(capfd, tmp_path, command, "rtsp://user:hunter2@cam.local/live.mp4")
    assert "hunter2" not in stderr


def test_named_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    process = start_command("upscale", tmp_path / "pipe.mp4", "-o", tmp_path / "out.mp4", *QUICK)
    try:
        _, stderr = process.communicate(timeout=5)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 2
    assert stderr.startswith(b"deepclarity: ")


def test_undecodable_file_name_is_reported(tmp_path: Path, capfd: Capture) -> None:
    expect_error(capfd, tmp_path, "upscale", tmp_path / os.fsdecode(b"no\xffne.mp4"))


def test_too_long_file_name_is_refused(clip: Path, tmp_path: Path, capfd: Capture) -> None:
    too_long = tmp_path / ("x" * 300 + ".mp4")
    expect_error(capfd, tmp_path, "upscale", too_long, "-o", tmp_path / "out.mp4")
    expect_error(capfd, tmp_path, "upscale", clip, "-o", too_long)
