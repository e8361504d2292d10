"""Invalid options, presets and commands: one line of error, the right exit code, no files left."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepclarity.cli.app import run
from tests.commands import expect_error

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("options", "suggestion"),
    [
        (["--preset", "defualt"], "default"),
        (["--model", "trubo"], "turbo"),
        (["--method", "gird"], "grid"),
        (["--codec", "h246"], "h264"),
        (["--speed", "utlrafast"], "ultrafast"),
        (["--device", "cdua"], "cuda"),
    ],
)
def test_unknown_name_suggests_the_nearest_one(
    clip: Path, tmp_path: Path, capfd: Capture, options: list[str], suggestion: str
) -> None:
    stderr = expect_error(capfd, tmp_path, "upscale", clip, "-o", tmp_path / "out.mp4", *options)
    assert f"'{suggestion}'" in stderr
    assert options[1] in stderr


@pytest.mark.parametrize(
    "options",
    [
        ["--crf", "52"],
        ["--crf", "-1"],
        ["--crf", "64", "--codec", "av1"],
        ["--crf", "good"],
        ["--size", "large"],
        ["--size", "0x0"],
        ["--size", "1920"],
        ["--size", "1920x"],
        ["--size", "-640x-360"],
        ["--size", "99999x99999"],
        ["--size", ""],
        ["--encoder", "intel"],
        ["--nonsense"],
    ],
)
def test_invalid_option_value_is_refused(clip: Path, tmp_path: Path, capfd: Capture, options: list[str]) -> None:
    stderr = expect_error(capfd, tmp_path, "upscale", clip, "-o", tmp_path / "out.mp4", *options)
    assert options[0].lstrip("-") in stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('modell = "turbo"', "did you mean 'model'"),
        ("crf = true", "crf"),
        ('crf = "18"', "crf"),
        ('speed = "warp"', "warp"),
        ("restart_every_frames = 0", "restart_every_frames"),
        ("source_buffer_frames = -1", "source_buffer_frames"),
        ('which = "pixelatd"', "pixelated"),
        ("on_score = nan", "on_score"),
        ("hold_s = -1.0", "hold_s"),
        ("model = [", "not valid TOML"),
        ("[section]\ncrf = 1", "section"),
    ],
)
def test_invalid_preset_is_refused(clip: Path, tmp_path: Path, capfd: Capture, text: str, message: str) -> None:
    preset = tmp_path / "mine.toml"
    preset.write_text(text)
    stderr = expect_error(capfd, tmp_path, "upscale", clip, "-o", tmp_path / "out.mp4", "--preset", preset)
    assert message in stderr


def test_binary_or_missing_preset_is_refused(clip: Path, tmp_path: Path, capfd: Capture) -> None:
    preset = tmp_path / "mine.toml"
    preset.write_bytes(b"\xff\xfe\x00\x80 = 1")
    stderr = expect_error(capfd, tmp_path, "upscale", clip, "-o", tmp_path / "out.mp4", "--preset", preset)
    assert "mine.toml" in stderr
    expect_error(capfd, tmp_path, "upscale", clip, "-o", tmp_path / "out.mp4", "--preset", tmp_path / "none.toml")


def test_unknown_command_or_missing_argument_is_refused(tmp_path: Path, capfd: Capture) -> None:
    assert "upscal" in expect_error(capfd, tmp_path, "upscal", "in.mp4")
    expect_error(capfd, tmp_path, "upscale")


def test_no_command_prints_the_help(capfd: Capture) -> None:
    run([])
    printed = "".join(capfd.readouterr())
    assert len([line for line in printed.splitlines() if line.strip().startswith(("upscale ", "detect "))]) == 2


def test_cuda_without_gpu_exits_with_5(clip: Path, tmp_path: Path, capfd: Capture) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("CUDA WITHOUT GPU UNTESTED: this machine has a GPU")
    stderr = expect_error(capfd, tmp_path, "upscale", clip, "-o", tmp_path / "out.mp4", "--device", "cuda", code=5)
    assert "cuda" in stderr.lower()


def test_traceback_is_printed_only_with_debug(tmp_path: Path, capfd: Capture) -> None:
    assert run(["upscale", str(tmp_path / "none.mp4")]) == 2
    assert "Traceback" not in capfd.readouterr().err
    assert run(["upscale", str(tmp_path / "none.mp4"), "--debug"]) == 2
    stderr = capfd.readouterr().err
    assert "Traceback (most recent call last)" in stderr
    assert stderr.splitlines()[-1].startswith("deepclarity: ")
