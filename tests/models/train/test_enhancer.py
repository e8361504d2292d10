"""Training of the enhancers: network, losses, steps, checkpoints, recipes."""

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
from deepclarity.models.generator import Generator, check_shapes, initial_weights
from deepclarity.models.load import generator_from
from deepclarity.models.train.enhancer.discriminator import Discriminator, discriminator_loss, generator_loss
from deepclarity.models.train.enhancer.losses import VGG16_FILE, Perceptual
from deepclarity.models.train.enhancer.network import TrainingNetwork
from deepclarity.models.train.enhancer.patches import Pair, sample_patches
from deepclarity.models.train.enhancer.recipe import Recipe, parse_recipe
from deepclarity.models.train.enhancer.run import Run, _Adversarial, export
from deepclarity.models.train.enhancer.validation import Task, enlarger, interpolation, mean_psnr
from deepclarity.models.weights import read_manifest
from deepclarity.pipelines.datasets.bicubic import reduce_bicubic
from deepclarity.pipelines.datasets.degrade import PhotoPairs
from tests.tiny_recipes import TINY, photo, tiny

CONFIGS = Path(str(files("deepclarity.configs")))
PAIR = Pair(reduce_bicubic(photo(9)[0], 4), photo(9)[0])
TASK = Task("bicubic", 4, [PAIR])


def adversarial(weight: float = 0.01) -> Recipe:
    """A recipe with a discriminator, but without the perceptual loss, as its features are not part of the package."""
    return replace(
        tiny(), pixel_weight=1.0, perceptual_weight=0.0, adversarial_weight=weight,
        discriminator_channels=8, discriminator_learning_rate=1e-3,
    )  # fmt: skip


@pytest.fixture
def vgg16() -> Path:
    """The folder of the VGG16 features of the perceptual loss, if it is next to the checkout."""
    folder = Path(__file__).parents[4] / "shared" / "data" / "features"
    if not (folder / VGG16_FILE).is_file():
        pytest.skip("no VGG16 features next to this checkout: the perceptual loss is not tested")
    return folder


def train_steps(run: Run, count: int) -> list[dict[str, torch.Tensor]]:
    pairs_by_scale = PhotoPairs([photo(i) for i in range(3)], run.recipe).pairs_by_scale(0)
    return [run.advance(pairs_by_scale) for _ in range(count)]


@pytest.mark.parametrize("widening", [0, 2])
@pytest.mark.parametrize("fold", [1, 2])
@pytest.mark.parametrize("family", ["turbo", "separable"])
def test_exported_network_equals_trained_network(family, fold, widening):
    net, rng = Generator(family, 2, 8, (2, 4), fold), np.random.default_rng(1)
    initial = initial_weights(net)
    start = {key: value + rng.normal(0, 0.1, value.shape).astype(np.float32) for key, value in initial.items()}
    trained = TrainingNetwork(net, start, dtype=torch.float32, widening=widening, seed=1)
    for key, value in trained.tensors().items():
        np.testing.assert_allclose(value, start[key], atol=1e-6)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
        luma = torch.rand(2, 1, 9, 14)
        exported = network_from(net, trained.tensors(), name="exported")
        torch.testing.assert_close(exported(luma, 4), trained(luma, 4), atol=1e-5, rtol=1e-4)


def test_patches_and_targets_have_same_rotation_and_flip():
    large = np.random.default_rng(0).integers(0, 256, (64, 96)).astype(np.uint8)
    small = large.reshape(16, 4, 24, 4).astype(np.uint32).sum(axis=(1, 3)) % 251  # identifies each block
    pairs = [Pair(small.astype(np.uint8), large)]
    patches, targets = sample_patches(pairs, count=8, patch_px=7, rng=np.random.default_rng(0))
    reduced = targets.reshape(8, 7, 4, 7, 4).astype(np.uint32).sum(axis=(2, 4)) % 251
    np.testing.assert_array_equal(reduced, patches[:, 0])


def test_training_starts_as_bilinear_and_improves():
    run = Run(tiny())
    before = mean_psnr(enlarger(run.recipe.net, run.averaged()), TASK)
    bilinear = mean_psnr(interpolation(cv2.INTER_LINEAR), TASK)
    assert before == pytest.approx(bilinear, abs=0.05)
    losses = [loss["pixel"].item() for loss in train_steps(run, 20)]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert mean_psnr(enlarger(run.recipe.net, run.averaged()), TASK) > before


@pytest.mark.parametrize("recipe", [tiny(), replace(tiny(), widening=2), adversarial()], ids=["plain", "wide", "gan"])
def test_resumed_run_equals_uninterrupted_run_bit_for_bit(tmp_path, recipe):
    uninterrupted, interrupted = Run(recipe), Run(recipe)
    expected = train_steps(uninterrupted, 9)
    train_steps(interrupted, 4)
    interrupted.save(tmp_path / "checkpoint.pt")
    resumed = Run(recipe)
    resumed.load(tmp_path / "checkpoint.pt")
    assert train_steps(resumed, 5) == expected[4:]
    for key, value in uninterrupted.averaged().items():
        np.testing.assert_array_equal(value, resumed.averaged()[key])


def test_adversarial_loss_alone_trains_generator_and_discriminator():
    run = Run(replace(adversarial(weight=1.0), pixel_weight=0.0, learning_rate=1e-2))
    before = run.averaged()
    losses = train_steps(run, 3)
    changed = {name for name, value in run.averaged().items() if not np.array_equal(value, before[name])}
    assert {"tail.x2.weight", "tail.x4.weight"} & changed
    assert losses[0]["discriminator"] != losses[-1]["discriminator"]


def test_generator_and_discriminator_get_gradients_only_from_their_own_loss():
    torch.manual_seed(0)
    adversarial_training = _Adversarial(adversarial(), torch.float32, torch.device("cpu"))
    fake = torch.rand(2, 1, 32, 32, requires_grad=True)
    of_generator, of_discriminator = adversarial_training.losses(fake, torch.rand(2, 1, 32, 32))
    of_generator.backward()
    assert fake.grad is not None
    assert fake.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in adversarial_training._network.parameters())
    fake.grad = None
    of_discriminator.backward()
    assert fake.grad is None
    assert all(parameter.grad is not None for parameter in adversarial_training._network.parameters())


def test_perceptual_loss_is_zero_for_equal_pictures_and_increases_with_blur(vgg16):
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


def test_discriminator_learns_to_distinguish_noise_from_flat_pictures():
    torch.manual_seed(0)
    discriminator = Discriminator(8)
    flats, noise = torch.rand(8, 1, 1, 1).expand(8, 1, 32, 32), torch.rand(8, 1, 32, 32)
    optimiser = torch.optim.Adam(discriminator.parameters(), lr=1e-3)
    for _ in range(40):
        loss = discriminator_loss(discriminator(flats), discriminator(noise))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        real, fake = discriminator(flats), discriminator(noise)
        assert real.mean() > fake.mean() + 0.5
        assert generator_loss(real, fake) > discriminator_loss(real, fake)


def test_perceptual_loss_without_features_raises_usage_error(tmp_path):
    recipe = replace(tiny(), perceptual_weight=0.1)
    with pytest.raises(UsageError, match="--features"):
        Run(recipe)
    with pytest.raises(SourceError, match="VGG16 features"):
        Run(recipe, features=tmp_path)


@pytest.mark.parametrize(
    ("change", "named"), [({"channels": 4}, "'channels': 8, not 4"), ({"steps": 7}, "'steps'"), ({"seed": 2}, "'seed'")]
)
def test_checkpoint_of_another_recipe_is_refused_with_the_difference(tmp_path, change, named):
    Run(tiny()).save(tmp_path / "checkpoint.pt")
    with pytest.raises(SourceError, match=named):
        Run(replace(tiny(), **change)).load(tmp_path / "checkpoint.pt")
    Run(replace(tiny(), checkpoint_s=5.0)).load(tmp_path / "checkpoint.pt")


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_invalid_or_missing_checkpoint_raises_one_line_error(tmp_path, content):
    path = tmp_path / "checkpoint.pt"
    if content is None:
        torch.save([1, 2], path)
    else:
        path.write_bytes(content)
    with pytest.raises(SourceError, match="not a usable checkpoint") as caught:
        Run(tiny()).load(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(SourceError, match="without --resume"):
        Run(tiny()).load(tmp_path / "missing.pt")


def test_exported_weights_fit_their_architecture(tmp_path):
    run = Run(tiny())
    export(run.averaged(), tmp_path / "weights.safetensors")
    check_shapes(run.recipe.net, safetensors.numpy.load_file(tmp_path / "weights.safetensors"), name="tiny")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("stepps = 3", "did you mean 'steps'"),
        ("= 3", "not a valid TOML recipe"),
        ("seed = 1.5", "'seed' must be of type int"),
        ("scales = 4", "'scales' must be a list"),
        ("scales = [4, 2]", "ascending"),
        ("scale_shares = [0.4, 0.5]", "one share per scale"),
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
def test_invalid_recipe_names_the_problem(line, complaint):
    key = line.split(" ")[0]
    rest = [old for old in TINY.splitlines() if not old.startswith(f"{key} =")]
    with pytest.raises(UsageError, match=complaint):
        parse_recipe("\n".join([line, *rest]), where="invalid.toml")


def test_missing_recipe_key_is_named():
    with pytest.raises(UsageError, match="'seed' is missing"):
        parse_recipe(TINY.replace("\nseed = ", "\n# seed = "), where="invalid.toml")


@pytest.mark.parametrize(
    "path",
    sorted(CONFIGS.glob("training/enhancer/*.toml")),
    ids=lambda path: path.stem,
)
def test_every_shipped_recipe_fits_the_weights_of_its_name(path):
    recipe = parse_recipe(path.read_text(), where=path.name)
    record = read_manifest()[path.stem]
    assert generator_from(record) == recipe.net
    if recipe.start_from:
        start = read_manifest()[recipe.start_from]
        assert (start.family, start.architecture) == (record.family, record.architecture)
