"""Trains an enhancer from a folder of photos: degrade, train, validate, checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from deepclarity.errors import SourceError
from deepclarity.models.generator import Tensors, check_finite
from deepclarity.models.train.enhancer.patches import Pair, PairDataset, PairsByScale
from deepclarity.models.train.enhancer.recipe import Recipe, parse_recipe
from deepclarity.models.train.enhancer.run import Run
from deepclarity.models.train.enhancer.validation import Task, centre_crop, enlarger, interpolation, mean_psnr
from deepclarity.models.weights import load_weights, read_tensors
from deepclarity.pipelines.datasets.bicubic import reduce_bicubic
from deepclarity.pipelines.datasets.degrade import (
    Photo,
    PhotoPairs,
    large_enough,
    pixelated_pair,
    read_photo,
    split_photos,
)

from .run import CHECKPOINT, WEIGHTS, Say, TrainingRun, check_begun, recipe_text, training_device


@dataclass(frozen=True, slots=True)
class Order:
    """A training job: recipe, data and output folder."""

    config: str
    """A recipe: the path of a TOML file, or the name of a shipped one, `turbo`, `srgan`, …"""
    data: Path
    """A folder of photos."""
    out: Path
    start: Path | None = None
    """Initial weights, instead of the recipe's."""
    features: Path | None = None
    """Folder with the features of VGG16 for a perceptual loss."""
    device: str = "auto"
    threads: int = 0
    """CPU threads; 0: torch's default."""
    resume: bool = False


def train_enhancer(order: Order, *, say: Say) -> Path:
    """Train to the recipe's last step; returns the path of the weights. Checkpoints every `checkpoint_s` seconds."""
    text = recipe_text(order.config)
    recipe = parse_recipe(text, where=order.config)
    if order.threads:
        torch.set_num_threads(order.threads)
    device = training_device(order.device)
    run = Run(recipe, start=_start(order, recipe), features=order.features, device=device)
    check_begun(order.out, resume=order.resume)
    if order.resume:
        run.load(order.out / CHECKPOINT)
    training, apart = split_photos(order.data, recipe.validation_photos)
    training_run = TrainingRun(order.out, say)
    with training_run.begun(text, anew=not order.resume):
        say(f"{recipe.net.parameters:,} parameters on {device}; reading {len(training)} photos")
        validation = validation_tasks([read_photo(path) for path in apart], recipe)
        for task in validation:
            cubic, lanczos = (mean_psnr(interpolation(m), task) for m in (cv2.INTER_CUBIC, cv2.INTER_LANCZOS4))
            say(f"{task.name} x{task.scale}: bicubic {cubic:.3f} dB, lanczos {lanczos:.3f} dB")
        training_run.keep(_Training(run, PhotoPairs([read_photo(path) for path in training], recipe), validation))
    return order.out / WEIGHTS


def validation_tasks(photos: Sequence[Photo], recipe: Recipe) -> list[Task]:
    """The recipe's task on validation photos, at its largest scale."""
    scale, rng, tasks = recipe.scales[-1], np.random.default_rng(recipe.seed), []
    photos = large_enough(photos, recipe)
    if recipe.pixelated_share < 1:
        pairs = [centre_crop(Pair(reduce_bicubic(photo[0], scale), photo[0])) for photo in photos]
        tasks.append(Task("bicubic", scale, pairs))
    if recipe.pixelated_share > 0:
        pairs = [centre_crop(pixelated_pair(photo, scale=scale, recipe=recipe, rng=rng)) for photo in photos]
        tasks.append(Task("pixelated", scale, pairs))
    return tasks


class _Training:
    """`Run` with its training and validation pictures."""

    def __init__(self, run: Run, dataset: PairDataset, validation: Sequence[Task]) -> None:
        self._run, self._dataset, self._validation = run, dataset, validation
        self._epoch = -1
        self._pairs: PairsByScale = {}
        recipe = run.recipe
        self.title, self.steps, self.checkpoint_s = recipe.family, recipe.steps, recipe.checkpoint_s

    @property
    def step(self) -> int:
        """Steps taken."""
        return self._run.step

    def advance(self) -> Mapping[str, Tensor]:
        """Perform one step; pictures are degraded anew at the start of a chapter."""
        epoch = self.step // self._run.recipe.renew_steps
        if epoch != self._epoch:
            self._epoch, self._pairs = epoch, self._dataset.pairs_by_scale(epoch)
        return self._run.advance(self._pairs)

    def weigh(self) -> tuple[Tensors, dict[str, float]]:
        """The averaged weights, and their PSNR on each task, in dB."""
        tensors = self._run.averaged()
        enlarge = enlarger(self._run.recipe.net, tensors)
        return tensors, {f"{task.name}_db": round(mean_psnr(enlarge, task), 3) for task in self._validation}

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        self._run.save(path)


def _start(order: Order, recipe: Recipe) -> Tensors | None:
    """Initial weights: those of the recipe's network; missing tails start at zero."""
    if order.start is not None:
        where, tensors = str(order.start), read_tensors(order.start)
    elif recipe.start_from:
        where, (_, tensors) = recipe.start_from, load_weights(recipe.start_from)
    else:
        return None
    wanted = recipe.net.shapes()
    odd = [name for name in wanted.keys() ^ tensors.keys() if not name.startswith("tail")]
    odd += [name for name in wanted.keys() & tensors.keys() if tensors[name].shape != wanted[name]]
    if odd:
        raise SourceError(f"{where}: weights of another architecture than the recipe's, first at '{min(odd)}'")
    check_finite(tensors, name=where)
    blank = {name: np.zeros(shape, np.float32) for name, shape in wanted.items()}
    return blank | {name: value for name, value in tensors.items() if name in wanted}
