"""Shell completion: the scripts, and what they offer."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from deepclarity.cli.app import run

Capture = pytest.CaptureFixture[str]


def completed(monkeypatch: pytest.MonkeyPatch, capsys: Capture, words: str) -> list[str]:
    """What is offered for the last of `words`, without the type that the script reads."""
    monkeypatch.setenv("_DEEPCLARITY_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    assert run([]) == 0
    return [line.partition(",")[2] for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_calls_deepclarity(shell: str, capsys: Capture, tmp_path: Path) -> None:
    assert run(["completion", shell]) == 0
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out)
    assert f"_DEEPCLARITY_COMPLETE={shell}_complete" in script.read_text()
    if shutil.which(shell):
        subprocess.run([shell, "-n", script], check=True, timeout=20)


def test_commands_options_and_names_are_completed(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert completed(monkeypatch, capsys, "deepclarity upsc") == ["upscale"]
    assert completed(monkeypatch, capsys, "deepclarity upscale --cod") == ["--codec"]
    assert completed(monkeypatch, capsys, "deepclarity upscale --model srgan-l") == [
        "srgan-lite", "srgan-lite-bicubic", "srgan-lite-fidelity", "srgan-lite-fidelity-bicubic",
    ]  # fmt: skip
    assert completed(monkeypatch, capsys, "deepclarity upscale --preset arch") == ["archive"]
    assert completed(monkeypatch, capsys, "deepclarity live --method lat") == ["lattice-net"]


def test_every_detector_and_preset_is_offered(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    from deepclarity.models.detectors import DETECTORS
    from deepclarity.pipelines.preset import preset_names

    assert sorted(completed(monkeypatch, capsys, "deepclarity detect --method ")) == sorted(DETECTORS)
    assert completed(monkeypatch, capsys, "deepclarity upscale --preset ") == sorted(preset_names())


def test_an_unknown_shell_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", "tcsh"]) == 2
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in capfd.readouterr().err
