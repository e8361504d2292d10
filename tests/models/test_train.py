import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import pytest
import safetensors.numpy
import torch

from deepclarity.errors import SourceError, UsageError
from deepclarity.models.generator import check_shapes
from deepclarity.models.train.degrade import average_blocks, coded_blocks
from deepclarity.models.train.enhancer import Run, enlarge_with, export, main
from deepclarity.models.train.measure import interpolation, mean_psnr, psnr, tasks
from deepclarity.models.train.pairs import cut_pairs, split_photos
from deepclarity.models.train.recipe import Recipe, read_recipe

RECIPE_FILE = Path(str(files("deepclarity.configs").joinpath("train-turbo.toml")))


def tiny() -> Recipe:
    """A recipe that runs in a second."""
    return replace(
        read_recipe(RECIPE_FILE),
        layers=1, channels=8, steps=20, batch=4, patch_px=16, patches=60, warmup_steps=1, ema_decay=0.5,
        learning_rate=3e-3, validation_photos=1, checkpoint_s=1000.0, bfloat16=False,
    )  # fmt: skip


def drawing(seed: int, size: int = 160) -> np.ndarray:
    """Discs and bars with hard edges: bilinear enlargement does badly, so there is much to learn."""
    rng = np.random.default_rng(seed)
    canvas = np.full((size, size), 90, np.uint8)
    for _ in range(25):
        x, y, radius, level = (int(v) for v in rng.integers((0, 0, 4, 0), (size, size, 25, 256)))
        cv2.circle(canvas, (x, y), radius, level, thickness=-1, lineType=cv2.LINE_AA)
    return canvas


def train_steps(run: Run, count: int) -> list[float]:
    pairs = cut_pairs([drawing(i) for i in range(3)], run.recipe)
    return [run.advance(pairs) for _ in range(count)]


def test_averaging_undoes_enlargement_by_blocks():
    small = drawing(0, 24)
    np.testing.assert_array_equal(average_blocks(small.repeat(3, 0).repeat(3, 1), 3), small)


def test_coding_damages_a_little_and_larger_blocks_less():
    small = drawing(1, 48)
    damage = [psnr(coded_blocks(small, block_px=block, quality=30), small) for block in (2, 4, 8)]
    assert 20 < damage[0] < damage[1] < damage[2]


def test_the_same_seed_cuts_the_same_pairs():
    pictures, recipe = [drawing(i) for i in range(2)], tiny()
    first, again = cut_pairs(pictures, recipe), cut_pairs(pictures, recipe)
    assert all(np.array_equal(first[s].small, again[s].small) for s in recipe.scales)
    assert first[4].large.shape == (42, 64, 64)


def test_small_and_large_stay_together_when_turned():
    pairs = cut_pairs([drawing(3)], replace(tiny(), coded_share=0.0))
    small, large = pairs[2].batch(6, np.random.default_rng(0))
    for one, truth in zip(small[:, 0], large[:, 0], strict=True):
        np.testing.assert_array_equal(average_blocks(truth, 2), one)


def test_photos_for_validation_are_kept_apart(tmp_path):
    for i in range(5):
        cv2.imwrite(str(tmp_path / f"{i}.png"), drawing(i, 16))
    training, apart = split_photos(tmp_path, 2)
    assert (len(training), len(apart)) == (3, 2)
    assert not set(training) & set(apart)
    with pytest.raises(SourceError, match="5 photos"):
        split_photos(tmp_path, 5)


def test_training_starts_as_bilinear_and_gets_better():
    run = Run(tiny())
    task = tasks([drawing(9)], scale=4, jpeg_quality=50)[0]
    before = mean_psnr(lambda small, scale: enlarge_with(run.averaged(), small, scale), task)
    assert before == pytest.approx(mean_psnr(interpolation(cv2.INTER_LINEAR), task), abs=0.05)
    losses = train_steps(run, 20)
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    after = mean_psnr(lambda small, scale: enlarge_with(run.averaged(), small, scale), task)
    assert after > before


def test_a_resumed_run_repeats_an_unbroken_one_to_the_bit(tmp_path):
    unbroken, broken = Run(tiny()), Run(tiny())
    expected = train_steps(unbroken, 12)
    train_steps(broken, 5)
    broken.save(tmp_path / "checkpoint.pt")
    resumed = Run(tiny())
    resumed.load(tmp_path / "checkpoint.pt")
    assert train_steps(resumed, 7) == expected[5:]
    for key, value in unbroken.average.items():
        assert torch.equal(value, resumed.average[key])


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    Run(tiny()).save(tmp_path / "checkpoint.pt")
    with pytest.raises(SourceError, match="not a checkpoint of this recipe"):
        Run(replace(tiny(), channels=4)).load(tmp_path / "checkpoint.pt")


def test_what_is_exported_fits_its_architecture(tmp_path):
    run = Run(tiny())
    export(run, tmp_path / "weights.safetensors")
    check_shapes(run.recipe.net, safetensors.numpy.load_file(tmp_path / "weights.safetensors"), name="tiny")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [("stepps = 3\n", "did you mean 'steps'"), ("= 3\n", "not a readable recipe")],
)
def test_a_recipe_with_a_slip_says_where(tmp_path, line, complaint):
    path = tmp_path / "recipe.toml"
    path.write_text(line + RECIPE_FILE.read_text())
    with pytest.raises(UsageError, match=complaint):
        read_recipe(path)


def test_the_program_trains_resumes_and_reports(tmp_path, capsys):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for i in range(3):
        cv2.imwrite(str(photos / f"{i}.png"), drawing(i))
    recipe = tmp_path / "recipe.toml"
    text = RECIPE_FILE.read_text()
    for key, value in {"steps": 3, "patches": 10, "validation_photos": 1}.items():
        text = re.sub(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
    recipe.write_text(text)
    options = ["--config", str(recipe), "--data", str(photos), "--out", str(out)]
    assert main(options) == 0
    assert main([*options, "--resume"]) == 0
    assert "step 3 " in capsys.readouterr().out
    assert main(["--config", "no.toml", *options[2:]]) == 2
