import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from deepclarity.cli.app import run
from deepclarity.models.generator import initial_weights
from deepclarity.models.train.enhancer.run import export
from deepclarity.models.weights import read_tensors
from deepclarity.stream.files.still import read_picture
from tests.tiny_recipes import changed, drawing, tiny


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with photos and a recipe of three steps."""
    (tmp_path / "photos").mkdir()
    for i in range(3):
        cv2.imwrite(str(tmp_path / "photos" / f"{i}.png"), drawing(i, 192))
    small = {"steps": 3, "batch": 2, "blocks": 2, "renew_steps": 2, "pixelated_share": 0.5}
    (tmp_path / "recipe.toml").write_text(changed(**small))
    return tmp_path


def train(work: Path, *more: str) -> int:
    options = ["--config", str(work / "recipe.toml"), "--data", str(work / "photos"), "--out", str(work / "out")]
    return run(["train", "enhancer", *options, *more])


def test_training_run_writes_weights_log_and_plot_and_resumes(work, capsys):
    assert train(work) == 0
    reported = capsys.readouterr().out
    assert "pixelated x4: bicubic" in reported
    assert f"weights: {work / 'out' / 'weights.safetensors'}" in reported
    entry = json.loads((work / "out" / "log.jsonl").read_text().splitlines()[-1])
    assert entry["step"] == 3
    assert entry["pixelated_db"] > 15
    assert read_picture(work / "out" / "progress.png").pixels.shape[0] > 300
    assert (work / "out" / "recipe.toml").read_text() == (work / "recipe.toml").read_text()
    assert not list(work.glob("out/*.partial"))
    assert train(work, "--resume", "-q") == 0
    assert capsys.readouterr().out == ""


def test_missing_final_weights_are_restored_from_the_checkpoint(work, capsys):
    assert train(work) == 0
    made = read_tensors(work / "out" / "weights.safetensors")
    (work / "out" / "weights.safetensors").unlink()
    assert train(work, "--resume") == 0
    again = read_tensors(work / "out" / "weights.safetensors")
    assert all(np.array_equal(made[key], again[key]) for key in made)


def test_truncated_log_is_read_up_to_the_damage(work):
    (work / "recipe.toml").write_text(changed(steps=6, checkpoint_s=1.0, renew_steps=2))
    assert train(work) == 0
    log = work / "out" / "log.jsonl"
    log.write_bytes(b'{"step": 1, "pixel": 0.5}\n{"step"\n\xff\xfe\n[1]\n')
    (work / "recipe.toml").write_text(changed(steps=6, checkpoint_s=2.0, renew_steps=2))
    state = torch.load(work / "out" / "checkpoint.pt", weights_only=True)
    torch.save({**state, "step": 5}, work / "out" / "checkpoint.pt")
    assert train(work, "--resume") == 0
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == [1, 6]


@pytest.mark.skipif(sys.platform == "win32", reason="runs are not locked on Windows")
def test_second_run_in_the_same_folder_is_refused(work, capsys):
    import fcntl

    (work / "out").mkdir()
    with (work / "out" / "running.lock").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert train(work) == 4
    assert "another run is writing there" in capsys.readouterr().err
    assert train(work) == 0
    assert not (work / "out" / "running.lock").exists()


def test_new_run_does_not_overwrite_an_existing_one(work, capsys):
    assert train(work) == 0
    assert train(work) == 4
    assert "--resume" in capsys.readouterr().err


def test_run_starts_from_given_weights(work, capsys):
    assert train(work) == 0
    (work / "out" / "checkpoint.pt").unlink()
    weights = work / "out" / "weights.safetensors"
    kept = work / "start.safetensors"
    kept.write_bytes(weights.read_bytes())
    assert train(work, "--start", str(kept)) == 0
    before, after = read_tensors(kept), read_tensors(weights)
    assert all(abs(before[key] - after[key]).max() < 0.1 for key in before)
    for blocks in (1, 3):
        (work / "recipe.toml").write_text(changed(blocks=blocks))
        assert train(work, "--start", str(kept), "--out", str(work / f"out{blocks}")) == 2
        assert "another architecture than the recipe's, first at 'body." in capsys.readouterr().err


def test_diverging_run_keeps_the_last_checkpoint(work, capsys):
    assert train(work) == 0
    kept = (work / "out" / "weights.safetensors").read_bytes()
    (work / "out" / "checkpoint.pt").unlink()
    (work / "recipe.toml").write_text(changed(steps=3))
    huge = work / "huge.safetensors"  # finite themselves, but not what they compute
    export({key: np.full_like(value, 1e20) for key, value in initial_weights(tiny().net).items()}, huge)
    assert train(work, "--start", str(huge)) == 1
    assert "diverged before step 3" in capsys.readouterr().err
    assert (work / "out" / "weights.safetensors").read_bytes() == kept


def test_non_finite_weights_are_refused_by_name(work, capsys):
    (work / "recipe.toml").write_text(changed(steps=3))
    tensors = initial_weights(tiny().net)
    tensors["stem.weight"][0] = np.nan
    export(tensors, work / "nan.safetensors")
    assert train(work, "--start", str(work / "nan.safetensors")) == 2
    assert "nan.safetensors: 'stem.weight' contains NaN or infinite values" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("--config", "none.toml"), "not a readable recipe"),
        (("--config", "srgam"), "did you mean 'srgan'"),
        (("--data", "nowhere"), "no such folder"),
        (("--start", "none.safetensors"), "cannot be read"),
        (("--resume",), "no checkpoint to resume"),
        (("--device", "cuda:7"), "cuda"),
    ],
)
def test_training_errors_are_one_line(work, capsys, change, complaint):
    assert train(work, *change) in (2, 5)
    reported = capsys.readouterr().err
    assert complaint in reported
    assert len(reported.splitlines()) == 1
