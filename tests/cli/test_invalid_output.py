"""Output paths that cannot be used are refused before any work."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepclarity.cli.app import run
from tests.commands import QUICK, expect_error
from tests.decoding import frame_times

Capture = pytest.CaptureFixture[str]


def test_output_equal_to_input_is_refused(clip: Path, tmp_path: Path, capfd: Capture) -> None:
    link = tmp_path / "link.mp4"
    link.hardlink_to(clip)
    for output in (clip, tmp_path / "." / "clip.mp4", link):
        assert "the output is the input" in expect_error(capfd, tmp_path, "upscale", clip, "-o", output, "-y")


def test_partial_file_equal_to_input_is_refused(clip: Path, tmp_path: Path, capfd: Capture) -> None:
    partial = clip.rename(tmp_path / "film.partial.mp4")
    expect_error(capfd, tmp_path, "upscale", partial, "-o", tmp_path / "film.mp4", *QUICK)


def test_existing_output_is_replaced_only_with_yes(clip: Path, tmp_path: Path, capfd: Capture) -> None:
    target = tmp_path / "out.mp4"
    target.write_text("existing")
    assert "already exists" in expect_error(capfd, tmp_path, "upscale", clip, "-o", target)
    assert target.read_text() == "existing"
    assert run(["upscale", str(clip), "-o", str(target), "-y", *QUICK]) == 0
    assert frame_times(target) == frame_times(clip)


@pytest.mark.parametrize("path", ["{tmp}/none/out.mp4", "{clip}/out.mp4", "/proc/x.mp4", "/sys/x.mp4", "{tmp}"])
def test_unwritable_output_path_is_refused(clip: Path, tmp_path: Path, capfd: Capture, path: str) -> None:
    output = path.format(tmp=tmp_path, clip=clip)
    stderr = expect_error(capfd, tmp_path, "upscale", clip, "-o", output)
    assert output.rsplit("/", 1)[0] in stderr


@pytest.mark.parametrize("name", ["out.flv", "out.avi", "out", "out.mp4.part", ".mp4"])
def test_unknown_extension_error_lists_the_supported_ones(
    clip: Path, tmp_path: Path, capfd: Capture, name: str
) -> None:
    stderr = expect_error(capfd, tmp_path, "upscale", clip, "-o", tmp_path / name)
    assert ".mkv" in stderr


def test_h264_in_webm_is_refused(clip: Path, tmp_path: Path, capfd: Capture) -> None:
    stderr = expect_error(capfd, tmp_path, "upscale", clip, "-o", tmp_path / "out.webm", "--codec", "h264")
    assert "av1" in stderr


def test_unwritable_report_is_refused_before_the_run(clip: Path, tmp_path: Path, capfd: Capture) -> None:
    for report in (tmp_path / "none" / "r.html", tmp_path / "r.pdf", tmp_path):
        expect_error(capfd, tmp_path, "upscale", clip, "-o", tmp_path / "out.mp4", "--report", report, *QUICK)
