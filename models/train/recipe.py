"""What a training run is told: a flat TOML file, one frozen dataclass."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from deepclarity.errors import UsageError, did_you_mean
from deepclarity.models.generator import Turbo


@dataclass(frozen=True, slots=True)
class Recipe:
    """The numbers of one training run; every one of them must be in the file."""

    layers: int
    channels: int
    scales: tuple[int, ...]
    scale_shares: tuple[float, ...]
    """How often each scale is drawn, in the order of `scales`."""
    seed: int
    steps: int
    batch: int
    patch_px: int
    """Side of a training patch of the small picture."""
    patches: int
    """How many pairs are cut from the photos, all scales together."""
    coded_share: float
    """Share of the pairs that went through a lossy codec while they were blocks; the others are clean."""
    jpeg_quality: tuple[int, int]
    block_px: tuple[int, int]
    """Smallest and largest block for which coding is simulated; half of the time it is the scale itself."""
    noise_share: float
    noise_levels: float
    """Largest standard deviation of the noise added to blocks before coding, in 8-bit levels."""
    validation_photos: int
    learning_rate: float
    warmup_steps: int
    ema_decay: float
    bfloat16: bool
    checkpoint_s: float
    threads: int

    @property
    def net(self) -> Turbo:
        """The network to train."""
        return Turbo(layers=self.layers, channels=self.channels, scales=self.scales)


def read_recipe(path: Path) -> Recipe:
    """The recipe in `path`; a key that is missing or unknown is a `UsageError` that names it."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: not a readable recipe ({error})") from error
    known = {field.name for field in fields(Recipe)}
    for key in table:
        if key not in known:
            raise UsageError(f"{path}: unknown key '{key}'; {did_you_mean(key, known)}")
    if missing := sorted(known - table.keys()):
        raise UsageError(f"{path}: '{missing[0]}' is missing")
    values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in table.items()}
    return Recipe(**values)
