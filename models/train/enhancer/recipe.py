"""Training recipe of an enhancer: a flat TOML file, read into a frozen dataclass."""

from __future__ import annotations

from dataclasses import dataclass

from deepclarity.errors import UsageError
from deepclarity.models.generator import FAMILIES, Generator
from deepclarity.models.train.recipes import check_bounds, check_choice, parse_flat

PIXEL_LOSSES = ("charbonnier", "squared")


@dataclass(frozen=True, slots=True)
class Recipe:
    """The settings of one training run; the file must contain all of them."""

    family: str
    blocks: int
    channels: int
    fold: int
    scales: tuple[int, ...]
    scale_shares: tuple[float, ...]
    """Probability of each scale, in the order of `scales`."""
    widening: int
    """Channels of the wider branch that `turbo` is trained with, as a multiple of its layers'; 0: no such branch."""
    start_from: str
    """Name of the weights to start from; empty: random ones."""

    seed: int
    steps: int
    batch: int
    patch_px: int
    """Side of a training patch, in low-resolution pixels."""
    learning_rate: float
    """For Adam."""
    muon_learning_rate: float
    """For Muon, on the kernels that mix channels; 0: Adam for those, too."""
    warmup_steps: int
    ema_decay: float
    bfloat16: bool
    checkpoint_s: float

    validation_photos: int
    renew_steps: int
    """Length of an epoch in training steps; pictures are degraded anew in each."""
    pixelated_share: float
    """Share of pictures that are pixelated; the others are only reduced, by bicubic interpolation."""
    coded_share: float
    """Share of the pixelated ones that are encoded and decoded while pixelated."""
    jpeg_quality: tuple[int, int]
    crf: tuple[int, int]
    block_px: tuple[float, float]
    noise_share: float
    noise_levels: float
    """Highest standard deviation of the noise added to blocks before encoding, in 8-bit levels."""

    pixel_loss: str
    """`charbonnier`, or `squared_error`."""
    pixel_weight: float
    perceptual_weight: float
    adversarial_weight: float
    discriminator_channels: int
    discriminator_learning_rate: float

    @property
    def net(self) -> Generator:
        """The network to train."""
        return Generator(self.family, self.blocks, self.channels, self.scales, self.fold)


def parse_recipe(text: str, *, where: str) -> Recipe:
    """Parse the recipe in TOML `text`; a key that is missing, unknown or out of range is a UsageError that names it."""
    recipe = parse_flat(text, Recipe, where=where)
    check_choice(recipe, "family", FAMILIES, where=where)
    check_choice(recipe, "pixel_loss", PIXEL_LOSSES, where=where)
    _check_scales(recipe, where)
    check_bounds(recipe, _BOUNDS, where=where)
    if recipe.adversarial_weight and not recipe.discriminator_channels:
        raise UsageError(f"{where}: 'adversarial_weight' needs 'discriminator_channels'")
    return recipe


def _check_scales(recipe: Recipe, where: str) -> None:
    if recipe.scales != tuple(sorted(set(recipe.scales))) or not set(recipe.scales) <= {2, 3, 4}:
        raise UsageError(f"{where}: 'scales' must be some of 2, 3, 4, ascending, not {list(recipe.scales)}")
    shares = recipe.scale_shares
    if len(shares) != len(recipe.scales) or not abs(sum(shares) - 1) <= 1e-9 or not min(shares, default=0) > 0:
        raise UsageError(f"{where}: 'scale_shares' must be one share per scale, each above 0, with a sum of 1")


_BOUNDS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("steps", "batch", "validation_photos", "renew_steps"), (1, 10**9)),
    **dict.fromkeys(("pixelated_share", "coded_share", "noise_share", "ema_decay"), (0, 1)),
    **dict.fromkeys(("learning_rate", "muon_learning_rate", "discriminator_learning_rate"), (0, 1)),
    **dict.fromkeys(("pixel_weight", "perceptual_weight", "adversarial_weight", "noise_levels"), (0, 1000)),
    **dict.fromkeys(("warmup_steps", "seed"), (0, 10**9)),
    "blocks": (1, 256),
    "channels": (1, 1024),
    "fold": (1, 2),
    "widening": (0, 8),
    "patch_px": (8, 512),
    "checkpoint_s": (1, 10**6),
    "jpeg_quality": (1, 100),
    "crf": (0, 51),
    "block_px": (1.5, 64),
    "discriminator_channels": (0, 1024),
}
