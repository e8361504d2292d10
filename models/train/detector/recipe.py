"""Training recipe of a detector: a flat TOML file, read into a frozen dataclass."""

from __future__ import annotations

from dataclasses import dataclass

from deepclarity.errors import UsageError
from deepclarity.models.train.recipes import check_bounds, parse_flat


@dataclass(frozen=True, slots=True)
class DetectorRecipe:
    """The settings of one training run; the file must contain all of them."""

    method: str
    """The detector to train."""
    seed: int
    published_pictures: int
    """Pictures of the protocol `published` to train on, from photos of the training split."""
    video_pictures: int
    """Pictures of the protocol `video` to train on."""
    validation_pictures: int
    """Pictures of each protocol trained on, from photos of the validation split; they determine the threshold."""
    false_positives: float
    """Highest allowed share of false positives on validation pictures; 1: no limit, the best F1."""

    steps: int
    batch: int
    learning_rate: float
    """For AdamW."""
    weight_decay: float
    label_smoothing: float
    warmup_steps: int
    ema_decay: float
    bfloat16: bool
    checkpoint_s: float

    @property
    def pictures(self) -> dict[str, int]:
        """Number of training pictures of each protocol; protocols without any are left out."""
        found = {"published": self.published_pictures, "video": self.video_pictures}
        return {protocol: count for protocol, count in found.items() if count}


_BOUNDS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("steps", "validation_pictures"), (1, 10**9)),
    "batch": (2, 10**9),
    **dict.fromkeys(("seed", "published_pictures", "video_pictures", "warmup_steps"), (0, 10**9)),
    **dict.fromkeys(("false_positives", "learning_rate", "weight_decay", "ema_decay"), (0, 1)),
    "label_smoothing": (0, 0.5),
    "checkpoint_s": (1, 10**6),
}


def parse_detector_recipe(text: str, *, where: str) -> DetectorRecipe:
    """Parse the recipe in TOML `text`; a key that is missing, unknown or out of range is a UsageError that names it.

    The method is not checked here: `load_learner` does that.
    """
    recipe = parse_flat(text, DetectorRecipe, where=where)
    check_bounds(recipe, _BOUNDS, where=where)
    if not recipe.pictures:
        raise UsageError(f"{where}: 'published_pictures' and 'video_pictures' are both 0: nothing to train on")
    return recipe
