from dataclasses import replace

import cv2
import numpy as np
import pytest
import safetensors.numpy
import torch

from deepclarity.errors import SourceError, UsageError
from deepclarity.models.backends.torch_network import network_from
from deepclarity.models.generator import Generator, check_shapes, untrained
from deepclarity.models.train.adversary import Discriminator, discriminator_loss, generator_loss
from deepclarity.models.train.enhancer import Losses, Run, export
from deepclarity.models.train.measure import Task, enlarger, interpolation, mean_psnr
from deepclarity.models.train.network import TrainingNetwork
from deepclarity.models.train.pairs import Pair, cut
from deepclarity.models.train.recipe import Recipe, read_recipe
from deepclarity.pipelines.degrade import PhotoStock, reduce_bicubic
from tests.recipes import RECIPE_FILE, photo, tiny

PAIR = Pair(reduce_bicubic(photo(9)[0], 4), photo(9)[0])
TASK = Task("bicubic", 4, [PAIR])


def adversarial() -> Recipe:
    """A recipe with a discriminator, but without the perceptual loss, whose features do not ship."""
    return replace(
        tiny(), pixel_weight=1.0, perceptual_weight=0.0, adversarial_weight=0.01,
        discriminator_channels=8, discriminator_learning_rate=1e-3,
    )  # fmt: skip


def train_steps(run: Run, count: int) -> list[Losses]:
    shelf = PhotoStock([photo(i) for i in range(3)], run.recipe).shelf(0)
    return [run.advance(shelf) for _ in range(count)]


@pytest.mark.parametrize("widening", [0, 2])
@pytest.mark.parametrize("fold", [1, 2])
@pytest.mark.parametrize("family", ["turbo", "separable"])
def test_what_is_stored_computes_what_was_trained(family, fold, widening):
    net, rng = Generator(family, 2, 8, (2, 4), fold), np.random.default_rng(1)
    start = {key: value + rng.normal(0, 0.1, value.shape).astype(np.float32) for key, value in untrained(net).items()}
    trained = TrainingNetwork(net, start, dtype=torch.float32, widening=widening, seed=1)
    for key, value in trained.tensors().items():
        np.testing.assert_allclose(value, start[key], atol=1e-6)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
        luma = torch.rand(2, 1, 9, 14)
        stored = network_from(net, trained.tensors(), name="stored")
        torch.testing.assert_close(stored(luma, 4), trained(luma, 4), atol=1e-5, rtol=1e-4)


def test_small_and_large_stay_together_when_turned():
    large = np.random.default_rng(0).integers(0, 256, (64, 96)).astype(np.uint8)
    pair = Pair(large[::4, ::4], large)
    small, patches = cut([pair], count=8, patch_px=7, rng=np.random.default_rng(0))
    matches = 0
    for one, truth in zip(small[:, 0], patches[:, 0], strict=True):
        corners = [np.rot90(truth, turns)[::4, ::4] for turns in range(4)]
        matches += any(np.array_equal(np.rot90(one, turns), corner) for turns, corner in enumerate(corners))
        assert truth.shape == (28, 28)
        assert set(one.ravel()) <= set(truth.ravel())
    assert matches >= 1


def test_training_starts_as_bilinear_and_gets_better():
    run = Run(tiny())
    before = mean_psnr(enlarger(run.recipe.net, run.averaged()), TASK)
    bilinear = mean_psnr(interpolation(cv2.INTER_LINEAR), TASK)
    assert before == pytest.approx(bilinear, abs=0.05)
    losses = [loss.pixel for loss in train_steps(run, 20)]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert mean_psnr(enlarger(run.recipe.net, run.averaged()), TASK) > before


@pytest.mark.parametrize("recipe", [tiny(), replace(tiny(), widening=2), adversarial()], ids=["plain", "wide", "gan"])
def test_a_resumed_run_repeats_an_unbroken_one_to_the_bit(tmp_path, recipe):
    unbroken, broken = Run(recipe), Run(recipe)
    expected = train_steps(unbroken, 9)
    train_steps(broken, 4)
    broken.save(tmp_path / "checkpoint.pt")
    resumed = Run(recipe)
    resumed.load(tmp_path / "checkpoint.pt")
    np.testing.assert_array_equal(
        [(loss.pixel, loss.discriminator) for loss in train_steps(resumed, 5)],
        [(loss.pixel, loss.discriminator) for loss in expected[4:]],
    )
    for key, value in unbroken.averaged().items():
        np.testing.assert_array_equal(value, resumed.averaged()[key])


def test_a_discriminator_learns_to_tell_noise_from_flats():
    torch.manual_seed(0)
    judge = Discriminator(8)
    flats, noise = torch.rand(8, 1, 1, 1).expand(8, 1, 32, 32), torch.rand(8, 1, 32, 32)
    optimiser = torch.optim.Adam(judge.parameters(), lr=1e-3)
    for _ in range(40):
        loss = discriminator_loss(judge(flats), judge(noise))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        assert judge(flats).mean() > judge(noise).mean() + 0.5
        assert generator_loss(judge(flats), judge(noise)) > discriminator_loss(judge(flats), judge(noise))


def test_a_run_with_a_perceptual_loss_asks_for_its_features(tmp_path):
    recipe = replace(tiny(), perceptual_weight=0.1)
    with pytest.raises(UsageError, match="--features"):
        Run(recipe)
    with pytest.raises(SourceError, match="features of VGG16"):
        Run(recipe, features=tmp_path)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    Run(tiny()).save(tmp_path / "checkpoint.pt")
    with pytest.raises(SourceError, match="not a checkpoint of this recipe"):
        Run(replace(tiny(), channels=4)).load(tmp_path / "checkpoint.pt")
    with pytest.raises(SourceError, match="without --resume"):
        Run(tiny()).load(tmp_path / "missing.pt")


def test_what_is_exported_fits_its_architecture(tmp_path):
    run = Run(tiny())
    export(run.averaged(), tmp_path / "weights.safetensors")
    check_shapes(run.recipe.net, safetensors.numpy.load_file(tmp_path / "weights.safetensors"), name="tiny")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("stepps = 3\n", "did you mean 'steps'"),
        ("= 3\n", "not a readable recipe"),
        ("seed = 1.5\n", "'seed' must be of type int"),
        ("scales = 4\n", "'scales' must be a list"),
        ("scales = [4, 2]\n", "ascending"),
        ("scale_shares = [0.4]\n", "one share a scale"),
        ('family = "turbine"\n', "did you mean 'turbo'"),
        ("crf = [40, 20]\n", "lowest, highest"),
    ],
)
def test_a_recipe_with_a_slip_says_where(tmp_path, line, complaint):
    path, key = tmp_path / "recipe.toml", line.split(" ")[0]
    rest = "".join(f"{old}\n" for old in RECIPE_FILE.read_text().splitlines() if not old.startswith(f"{key} ="))
    path.write_text(line + rest)
    with pytest.raises(UsageError, match=complaint):
        read_recipe(path)


def test_a_recipe_with_a_key_missing_names_it(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE_FILE.read_text().replace("\nseed = ", "\n# seed = "))
    with pytest.raises(UsageError, match="'seed' is missing"):
        read_recipe(path)
