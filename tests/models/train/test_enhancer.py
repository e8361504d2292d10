from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import pytest
import safetensors.numpy
import torch

from deepclarity.errors import SourceError, UsageError
from deepclarity.models.backends.torch_network import network_from
from deepclarity.models.generator import Generator, check_shapes, untrained
from deepclarity.models.load import generator_of
from deepclarity.models.train.enhancer.discriminator import Discriminator, discriminator_loss, generator_loss
from deepclarity.models.train.enhancer.losses import VGG16_FILE, Perceptual
from deepclarity.models.train.enhancer.network import TrainingNetwork
from deepclarity.models.train.enhancer.patches import Pair, cut
from deepclarity.models.train.enhancer.recipe import Recipe, parse_recipe
from deepclarity.models.train.enhancer.run import Run, _Opponent, export
from deepclarity.models.train.enhancer.validation import Task, enlarger, interpolation, mean_psnr
from deepclarity.models.weights import read_manifest
from deepclarity.pipelines.datasets.bicubic import reduce_bicubic
from deepclarity.pipelines.datasets.degrade import PhotoStock
from tests.tiny_recipes import TINY, photo, tiny

CONFIGS = Path(str(files("deepclarity.configs")))
PAIR = Pair(reduce_bicubic(photo(9)[0], 4), photo(9)[0])
TASK = Task("bicubic", 4, [PAIR])


def adversarial(weight: float = 0.01) -> Recipe:
    """A recipe with a discriminator, but without the perceptual loss, whose features do not ship."""
    return replace(
        tiny(), pixel_weight=1.0, perceptual_weight=0.0, adversarial_weight=weight,
        discriminator_channels=8, discriminator_learning_rate=1e-3,
    )  # fmt: skip


@pytest.fixture
def vgg16() -> Path:
    """The folder of the perceptual loss's features, where a checkout has it beside it."""
    folder = Path(__file__).parents[4] / "shared" / "data" / "features"
    if not (folder / VGG16_FILE).is_file():
        pytest.skip("VGG16 features are not beside this checkout: the perceptual loss goes untested")
    return folder


def train_steps(run: Run, count: int) -> list[dict[str, torch.Tensor]]:
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
    small = large.reshape(16, 4, 24, 4).astype(np.uint32).sum(axis=(1, 3)) % 251  # as good as a name for each block
    cut_small, cut_large = cut([Pair(small.astype(np.uint8), large)], count=8, patch_px=7, rng=np.random.default_rng(0))
    named = cut_large.reshape(8, 7, 4, 7, 4).astype(np.uint32).sum(axis=(2, 4)) % 251
    np.testing.assert_array_equal(named, cut_small[:, 0])


def test_training_starts_as_bilinear_and_gets_better():
    run = Run(tiny())
    before = mean_psnr(enlarger(run.recipe.net, run.averaged()), TASK)
    bilinear = mean_psnr(interpolation(cv2.INTER_LINEAR), TASK)
    assert before == pytest.approx(bilinear, abs=0.05)
    losses = [loss["pixel"].item() for loss in train_steps(run, 20)]
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
    assert train_steps(resumed, 5) == expected[4:]
    for key, value in unbroken.averaged().items():
        np.testing.assert_array_equal(value, resumed.averaged()[key])


def test_the_adversarial_loss_alone_moves_generator_and_discriminator():
    run = Run(replace(adversarial(weight=1.0), pixel_weight=0.0, learning_rate=1e-2))
    before = run.averaged()
    losses = train_steps(run, 3)
    moved = {name for name, value in run.averaged().items() if not np.array_equal(value, before[name])}
    assert {"tail.x2.weight", "tail.x4.weight"} & moved
    assert losses[0]["discriminator"] != losses[-1]["discriminator"]


def test_each_side_of_the_game_gets_gradients_from_its_own_loss_alone():
    torch.manual_seed(0)
    opponent = _Opponent(adversarial(), torch.float32, torch.device("cpu"))
    made = torch.rand(2, 1, 32, 32, requires_grad=True)
    fooled, caught = opponent.judge(made, torch.rand(2, 1, 32, 32))
    fooled.backward()
    assert made.grad is not None
    assert made.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in opponent._network.parameters())
    made.grad = None
    caught.backward()
    assert made.grad is None
    assert all(parameter.grad is not None for parameter in opponent._network.parameters())


def test_the_perceptual_loss_is_nothing_for_equals_and_grows_with_blur(vgg16):
    loss = Perceptual(vgg16, dtype=torch.float32)
    truth = torch.from_numpy(photo(5)[0][None, None] / np.float32(255))
    assert loss(truth, truth).item() == pytest.approx(0, abs=1e-6)
    blurred = [
        torch.from_numpy(cv2.GaussianBlur(truth[0, 0].numpy(), (0, 0), sigma))[None, None].requires_grad_()
        for sigma in (1.0, 3.0)
    ]
    near, far = (loss(picture, truth) for picture in blurred)
    assert 0 < near < far
    near.backward()
    assert blurred[0].grad is not None
    assert blurred[0].grad.isfinite().all()
    assert blurred[0].grad.abs().max() > 0


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


@pytest.mark.parametrize(
    ("change", "named"), [({"channels": 4}, "'channels': 8, not 4"), ({"steps": 7}, "'steps'"), ({"seed": 2}, "'seed'")]
)
def test_a_checkpoint_of_another_recipe_is_refused_by_what_differs(tmp_path, change, named):
    Run(tiny()).save(tmp_path / "checkpoint.pt")
    with pytest.raises(SourceError, match=named):
        Run(replace(tiny(), **change)).load(tmp_path / "checkpoint.pt")
    Run(replace(tiny(), checkpoint_s=5.0)).load(tmp_path / "checkpoint.pt")


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_what_is_no_checkpoint_is_one_clear_line(tmp_path, content):
    path = tmp_path / "checkpoint.pt"
    if content is None:
        torch.save([1, 2], path)
    else:
        path.write_bytes(content)
    with pytest.raises(SourceError, match="not a checkpoint that can be used") as caught:
        Run(tiny()).load(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(SourceError, match="without --resume"):
        Run(tiny()).load(tmp_path / "missing.pt")


def test_what_is_exported_fits_its_architecture(tmp_path):
    run = Run(tiny())
    export(run.averaged(), tmp_path / "weights.safetensors")
    check_shapes(run.recipe.net, safetensors.numpy.load_file(tmp_path / "weights.safetensors"), name="tiny")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("stepps = 3", "did you mean 'steps'"),
        ("= 3", "not a readable recipe"),
        ("seed = 1.5", "'seed' must be of type int"),
        ("scales = 4", "'scales' must be a list"),
        ("scales = [4, 2]", "ascending"),
        ("scale_shares = [0.4, 0.5]", "one share a scale"),
        ("scale_shares = [1.5, -0.5]", "each above 0"),
        ('family = "turbine"', "did you mean 'turbo'"),
        ('pixel_loss = "square"', "did you mean 'squared'"),
        ("crf = [40, 20]", "lowest, highest"),
        ("crf = [18, 60]", "'crf' must lie in 0..51"),
        ("renew_steps = 0", "'renew_steps' must lie in"),
        ("validation_photos = 0", "'validation_photos' must lie in"),
        ("adversarial_weight = 0.1", "needs 'discriminator_channels'"),
    ],
)
def test_a_recipe_with_a_slip_says_where(line, complaint):
    key = line.split(" ")[0]
    rest = [old for old in TINY.splitlines() if not old.startswith(f"{key} =")]
    with pytest.raises(UsageError, match=complaint):
        parse_recipe("\n".join([line, *rest]), where="slip.toml")


def test_a_recipe_with_a_key_missing_names_it():
    with pytest.raises(UsageError, match="'seed' is missing"):
        parse_recipe(TINY.replace("\nseed = ", "\n# seed = "), where="slip.toml")


@pytest.mark.parametrize(
    "path",
    sorted(CONFIGS.glob("training/enhancer/*.toml")),
    ids=lambda path: path.stem,
)
def test_every_recipe_that_ships_can_be_read_and_fits_the_weights_of_its_name(path):
    recipe = parse_recipe(path.read_text(), where=path.name)
    record = read_manifest()[path.stem]
    assert generator_of(record) == recipe.net
    if recipe.start_from:
        start = read_manifest()[recipe.start_from]
        assert (start.family, start.architecture) == (record.family, record.architecture)
