"""Full disks and early failures: error message, exit code and files left."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deepclarity.cli.app import run
from tests.clips import ClipSpec, encode_clip, encode_long_clip
from tests.commands import QUICK
from tests.decoding import frame_times

Capture = pytest.CaptureFixture[str]


def assert_only_partial_files(folder: Path, extension: str) -> None:
    """`folder` has at most a partial file and, only beside it, its resume token."""
    left = {path.name for path in folder.iterdir()} - {"filler"}
    assert left <= {f"out.partial.{extension}", f"out.partial.{extension}.json"}
    assert left != {f"out.partial.{extension}.json"}


@dataclass
class Disk:
    """A small file system."""

    path: Path

    def fill(self, *, leave_bytes: int) -> None:
        free = shutil.disk_usage(self.path).free
        (self.path / "filler").write_bytes(bytes(max(0, free - leave_bytes)))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    mount_point = tmp_path / "disk"
    mount_point.mkdir()
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(mount_point)], check=False, capture_output=True
        )
    except FileNotFoundError:
        pytest.skip("FULL DISKS UNTESTED: NO `mount` COMMAND")
    if mounted.returncode:
        pytest.skip("FULL DISKS UNTESTED: NO PERMISSION TO MOUNT A TMPFS (NOT ROOT?)")
    try:
        yield Disk(mount_point)
    finally:
        subprocess.run(["umount", str(mount_point)], check=True)


@pytest.mark.parametrize("extension", ["mp4", "mkv"])
@pytest.mark.parametrize("free", [0, 4096, 16_384, 200_000])
def test_full_disk_is_reported_with_exit_code_4(
    disk: Disk, tmp_path: Path, capfd: Capture, free: int, extension: str
) -> None:
    clip, target = encode_long_clip(tmp_path / "clip.mp4", 100), disk.path / f"out.{extension}"
    disk.fill(leave_bytes=free)
    began = time.monotonic()
    code = run(["upscale", str(clip), "-o", str(target), *QUICK, "--size", "640x360", "--crf", "1"])
    assert time.monotonic() - began < 20
    stderr = capfd.readouterr().err
    assert code == 4, stderr
    assert stderr.startswith("deepclarity: ")
    assert stderr.count("\n") == 1
    assert str(target) in stderr
    assert "no space" in stderr
    assert_only_partial_files(disk.path, extension)


def test_no_space_for_faststart_keeps_the_fragmented_file(disk: Disk, tmp_path: Path, capfd: Capture) -> None:
    clip, command = encode_long_clip(tmp_path / "clip.mp4", 50), [*QUICK, "--size", "320x180", "--crf", "8"]
    assert run(["upscale", str(clip), "-o", str(tmp_path / "trial.mp4"), *command]) == 0
    disk.fill(leave_bytes=(tmp_path / "trial.mp4").stat().st_size * 3 // 2)
    capfd.readouterr()
    code = run(["upscale", str(clip), "-o", str(disk.path / "out.mp4"), *command])
    stderr = capfd.readouterr().err
    assert (code, "no space" in stderr) == (4, True), stderr
    assert_only_partial_files(disk.path, "mp4")
    assert len(frame_times(disk.path / "out.partial.mp4")) == 50  # hours of work must not be lost


def test_report_on_a_full_disk_keeps_the_video(disk: Disk, tmp_path: Path, capfd: Capture) -> None:
    clip, target = encode_long_clip(tmp_path / "clip.mp4", 10), tmp_path / "out.mp4"
    disk.fill(leave_bytes=0)
    assert run(["upscale", str(clip), "-o", str(target), *QUICK, "--report", str(disk.path / "r.json")]) == 4
    assert "no space" in capfd.readouterr().err.lower()
    assert len(frame_times(target)) == 10


def test_failure_before_the_first_frame_leaves_no_files(tmp_path: Path, capfd: Capture) -> None:
    spec = ClipSpec(codec="mpeg2video", options={"flags": "+ildct+ilme"})
    clip = encode_clip(tmp_path / "clip.mkv", spec)  # x264 cannot open for fields of 45 rows without special handling
    code = run(["upscale", str(clip), "-o", str(tmp_path / "out.mp4"), *QUICK])
    capfd.readouterr()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == ({"clip.mkv", "out.mp4"} if code == 0 else {"clip.mkv"})
