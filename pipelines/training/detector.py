"""Trains a detector from a folder of photos: generate samples, preprocess, train, choose the threshold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deepclarity.models.generator import Tensors
from deepclarity.models.train.detector.learner import PIXELATED, load_learner
from deepclarity.models.train.detector.recipe import DetectorRecipe, parse_detector_recipe
from deepclarity.models.train.detector.run import DetectorRun, PreprocessedDataset, best_threshold, rates
from deepclarity.pipelines.datasets.detector_dataset import Protocol
from deepclarity.pipelines.datasets.photos import Split

from .cache import Wanted, fingerprint, samples
from .run import CHECKPOINT, WEIGHTS, Say, TrainingRun, check_begun, recipe_text, training_device

SAMPLES = "samples"


@dataclass(frozen=True, slots=True)
class Order:
    """A training job: recipe, data and output folder."""

    config: str
    """A recipe: the path of a TOML file, or the name of a shipped one, `mobilenet`, …"""
    data: Path
    """A folder of photos, or one that contains `train_photos` and optionally `clips`."""
    out: Path
    device: str = "auto"
    threads: int = 0
    """CPU threads, and processes that generate pictures; 0: torch's default, and one process per core."""
    resume: bool = False


def train_detector(order: Order, *, say: Say) -> Path:
    """Train to the recipe's last step; returns the path of the weights. Checkpoints every `checkpoint_s` seconds.

    Uses the training and validation photos only; cached pictures are reused.
    """
    text = recipe_text(order.config, of_detector=True)
    recipe = parse_detector_recipe(text, where=order.config)
    if order.threads:
        torch.set_num_threads(order.threads)
    device, learner = training_device(order.device), load_learner(recipe.method)
    check_begun(order.out, resume=order.resume)
    wanted = {split: _wanted(recipe, order.data, split) for split in (Split.TRAIN, Split.VALIDATION)}
    reported = " ".join(fingerprint(each) for each in wanted.values())
    run = DetectorRun(recipe, learner, device=device, pictures=reported)
    if order.resume:
        run.load(order.out / CHECKPOINT)
    training_run = TrainingRun(order.out, say)
    with training_run.begun(text, anew=not order.resume):
        training, validation = (
            samples(each, order.out / SAMPLES, learner, processes=order.threads, say=say) for each in wanted.values()
        )
        parameters = sum(parameter.numel() for parameter in run.network.parameters())
        say(f"{parameters:,} parameters on {device}; {len(training.labels):,} pictures")
        training_run.keep(_Training(run, training, validation))
    return order.out / WEIGHTS


def _wanted(recipe: DetectorRecipe, data: Path, split: Split) -> list[Wanted]:
    """The pictures of one split that `recipe` specifies."""
    return [
        Wanted(
            recipe.method,
            data,
            split,
            Protocol(protocol),
            recipe.seed,
            count if split is Split.TRAIN else recipe.validation_pictures,
        )
        for protocol, count in recipe.pictures.items()
    ]


class _Training:
    """`DetectorRun` with its training pictures, and the validation pictures that determine the threshold."""

    def __init__(self, run: DetectorRun, training: PreprocessedDataset, validation: PreprocessedDataset) -> None:
        self._run, self._training, self._validation = run, training, validation
        self.title, self.steps, self.checkpoint_s = run.learner.name, run.recipe.steps, run.recipe.checkpoint_s

    @property
    def step(self) -> int:
        """Steps taken."""
        return self._run.step

    def advance(self) -> Mapping[str, Tensor]:
        """Perform one step."""
        return self._run.advance(self._training)

    def weigh(self) -> tuple[Tensors, dict[str, float]]:
        """The averaged weights with their threshold, and their scores on the validation pictures."""
        run, truth = self._run, self._validation
        pixelated = np.asarray(truth.labels == run.learner.classes.index(PIXELATED))
        margins = run.margins(truth)
        threshold = best_threshold(margins, pixelated, false_positives=run.recipe.false_positives)
        scores = {name: round(value, 4) for name, value in rates(margins, pixelated, threshold).items()}
        return run.export_tensors(shift=-threshold), scores

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        self._run.save(path)
