"""What a training run is told: a flat TOML file, one frozen dataclass."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from deepclarity.errors import UsageError, did_you_mean
from deepclarity.models.generator import FAMILIES, Generator


@dataclass(frozen=True, slots=True)
class Recipe:
    """The numbers of one training run; every one of them must be in the file."""

    family: str
    blocks: int
    channels: int
    fold: int
    scales: tuple[int, ...]
    scale_shares: tuple[float, ...]
    """How often each scale is drawn, in the order of `scales`."""
    widening: int
    """Channels of the widened branch that `turbo` is trained with, in those of its layers; 0: no such branch."""
    start_from: str
    """Weights to begin with, by name; empty: random ones."""

    seed: int
    steps: int
    batch: int
    patch_px: int
    """Side of a training patch of the small picture."""
    learning_rate: float
    """Adam's."""
    muon_learning_rate: float
    """Muon's, for the kernels that mix channels; 0: Adam for those too."""
    warmup_steps: int
    ema_decay: float
    bfloat16: bool
    checkpoint_s: float
    threads: int

    validation_photos: int
    renew_steps: int
    """Steps after which pictures are degraded anew."""
    pixelated_share: float
    """Share of the pictures that were blocks; the others are only small, by bicubic interpolation."""
    coded_share: float
    """Share of the pixelated ones that went through a codec while they were blocks."""
    jpeg_quality: tuple[int, int]
    crf: tuple[int, int]
    block_px: tuple[float, float]
    noise_share: float
    noise_levels: float
    """Largest standard deviation of the noise added to blocks before coding, in 8-bit levels."""

    pixel_weight: float
    perceptual_weight: float
    adversarial_weight: float
    discriminator_channels: int
    discriminator_learning_rate: float

    @property
    def net(self) -> Generator:
        """The network to train."""
        return Generator(self.family, self.blocks, self.channels, self.scales, self.fold)


def read_recipe(path: Path) -> Recipe:
    """The recipe in `path`; a key that is missing, unknown or of the wrong kind is a `UsageError` that names it."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: not a readable recipe ({error})") from error
    known = {field.name: str(field.type) for field in fields(Recipe)}
    for key in table:
        if key not in known:
            raise UsageError(f"{path}: unknown key '{key}'; {did_you_mean(key, known)}")
    if missing := sorted(known.keys() - table.keys()):
        raise UsageError(f"{path}: '{missing[0]}' is missing")
    recipe = Recipe(**{key: _converted(key, table[key], kind, path) for key, kind in known.items()})
    _check(recipe, path)
    return recipe


_KINDS: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,)}


def _converted(key: str, value: Any, kind: str, path: Path) -> Any:
    listed = kind.startswith("tuple[")
    if listed != isinstance(value, list):
        raise UsageError(f"{path}: '{key}' must {'' if listed else 'not '}be a list")
    inner = kind.removeprefix("tuple[").split(",")[0].rstrip("]") if listed else kind
    for item in value if listed else [value]:
        if not isinstance(item, _KINDS[inner]) or (inner != "bool" and isinstance(item, bool)):
            raise UsageError(f"{path}: '{key}' must be of type {inner}, not {item!r}")
    return tuple(value) if listed else value


def _check(recipe: Recipe, path: Path) -> None:
    if recipe.family not in FAMILIES:
        raise UsageError(f"{path}: no family '{recipe.family}'; {did_you_mean(recipe.family, FAMILIES)}")
    if recipe.scales != tuple(sorted(set(recipe.scales))) or not set(recipe.scales) <= {2, 3, 4}:
        raise UsageError(f"{path}: 'scales' must be some of 2, 3, 4, ascending, not {list(recipe.scales)}")
    if len(recipe.scale_shares) != len(recipe.scales) or abs(sum(recipe.scale_shares) - 1) > 1e-6:
        raise UsageError(f"{path}: 'scale_shares' needs one share a scale, 1 together")
    for key in ("jpeg_quality", "crf", "block_px"):
        pair = getattr(recipe, key)
        if len(pair) != 2 or pair[0] > pair[1]:
            raise UsageError(f"{path}: '{key}' must be [lowest, highest], not {list(pair)}")
