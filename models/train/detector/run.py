"""Training loop of a detector: steps, checkpoints, and the choice of the threshold."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from deepclarity.errors import SourceError
from deepclarity.models.generator import Tensors
from deepclarity.models.train.checkpoints import open_checkpoint, write_checkpoint
from deepclarity.models.train.optimizers import optimizer_step, update_ema, warmup_cosine

from .learner import PIXELATED, Arrays, Learner
from .recipe import DetectorRecipe

_INFERENCE_BATCH = 64

Margins = NDArray[np.float64]
"""The logit of `pixelated` minus the log-sum-exp of all others, which is the logit of the score: (pictures,)."""


@dataclass(frozen=True, slots=True)
class PreprocessedDataset:
    """Labelled pictures, preprocessed for the network."""

    arrays: Arrays
    """The first axis counts pictures."""
    labels: NDArray[np.intp]
    """Indices into the learner's classes, (pictures,)."""

    def select(self, indices: NDArray[np.intp]) -> Arrays:
        """The arrays of the pictures at `indices`."""
        return {name: array[indices] for name, array in self.arrays.items()}


class DetectorRun:
    """Network, optimiser, moving average and step: the state of a training run, which a checkpoint holds.

    All random numbers depend on the seed and the step number: a resumed run equals an uninterrupted one, bit for bit on
    the CPU with the same number of threads.
    """

    def __init__(self, recipe: DetectorRecipe, learner: Learner, *, device: str = "cpu", pictures: str = "") -> None:
        """`pictures`: a fingerprint of the training pictures; a checkpoint made from others is refused."""
        self.recipe, self.learner, self.step, self._device = recipe, learner, 0, torch.device(device)
        self._pictures = pictures
        torch.manual_seed(recipe.seed)
        self.network = learner.network().to(self._device).train()
        self.averaged = copy.deepcopy(self.network).eval().requires_grad_(False)
        self._optimiser = _adam(self.network, recipe)
        self._epoch, self._order = -1, np.zeros(0, np.intp)

    def advance(self, dataset: PreprocessedDataset) -> dict[str, Tensor]:
        """Run one training step on a batch of `dataset`; returns the loss before it."""
        recipe, seeds = self.recipe, np.random.SeedSequence([self.recipe.seed, self.step])
        indices = self._batch_indices(len(dataset.labels))
        batch = self.learner.augment(dataset.select(indices), np.random.default_rng(seeds))
        torch.manual_seed(int(seeds.generate_state(1)[0]))  # for dropout
        labels = torch.from_numpy(dataset.labels[indices]).to(self._device)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=recipe.bfloat16):
            logits = self.network(self._tensors(batch))
        loss = functional.cross_entropy(logits.float(), labels, label_smoothing=recipe.label_smoothing)
        lr_factor = warmup_cosine(self.step, steps=recipe.steps, warmup_steps=recipe.warmup_steps)
        optimizer_step([self._optimiser], self.network, loss, lr_factor)
        update_ema(self.averaged.state_dict(), self.network.state_dict(), step=self.step, decay=recipe.ema_decay)
        self.step += 1
        return {"loss": loss.detach()}

    def margins(self, dataset: PreprocessedDataset) -> Margins:
        """The margin of every picture, by the averaged network."""
        pixelated = self.learner.classes.index(PIXELATED)
        found = []
        with torch.inference_mode():
            for indices in _inference_batches(len(dataset.labels)):
                logits = self.averaged(self._tensors(dataset.select(indices))).double()
                others = torch.cat([logits[:, :pixelated], logits[:, pixelated + 1 :]], dim=1)
                found.append((logits[:, pixelated] - others.logsumexp(dim=1)).cpu().numpy())
        return np.concatenate(found)

    def export_tensors(self, *, shift: float) -> Tensors:
        """The weights of the averaged network for inference; see `Learner.export_tensors`."""
        return self.learner.export_tensors(copy.deepcopy(self.averaged).cpu(), shift=shift)

    def save(self, path: Path) -> None:
        """Write a checkpoint atomically."""
        write_checkpoint(
            path,
            self.recipe,
            step=self.step,
            pictures=self._pictures,
            network=self.network.state_dict(),
            average=self.averaged.state_dict(),
            optimiser=self._optimiser.state_dict(),
        )

    def load(self, path: Path) -> None:
        """Resume from a checkpoint that `save` wrote for the same recipe; SourceError names the first difference."""
        with open_checkpoint(path, self.recipe) as state:
            if state["pictures"] != self._pictures:
                raise SourceError(f"{path}: made from other pictures. Give the same --data, or start without --resume.")
            self.network.load_state_dict(state["network"])
            self.averaged.load_state_dict(state["average"])
            self._optimiser.load_state_dict(state["optimiser"])
            self.step = state["step"]

    def _batch_indices(self, count: int) -> NDArray[np.intp]:
        """The next batch; each epoch visits every picture once, in a new order."""
        positions = np.arange(self.step * self.recipe.batch, (self.step + 1) * self.recipe.batch)
        return np.array([self._shuffled(i // count, count)[i % count] for i in positions.tolist()], np.intp)

    def _shuffled(self, epoch: int, count: int) -> NDArray[np.intp]:
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = np.random.default_rng([self.recipe.seed, epoch, 1]).permutation(count)
        return self._order

    def _tensors(self, batch: Arrays) -> dict[str, Tensor]:
        return {
            name: torch.from_numpy(np.ascontiguousarray(array)).to(self._device, non_blocking=True)
            for name, array in batch.items()
        }


def best_threshold(margins: Margins, pixelated: NDArray[np.bool_], *, false_positives: float = 1.0) -> float:
    """The lowest margin to call pixelated, for the best F1 with at most this share of false positives.

    It lies midway between two pictures; of several equally good ones, between those farthest apart.
    """
    margins = np.nan_to_num(margins, nan=0.0, posinf=1e9, neginf=-1e9)  # such a run is stopped anyway
    order = np.argsort(-margins, kind="stable")
    ordered, positive = margins[order], pixelated[order]
    hits, false_alarms = np.cumsum(positive), np.cumsum(~positive)
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + positive.sum())
    gaps = ordered - np.append(ordered[1:], ordered[-1] - 1)
    allowed = (false_alarms <= false_positives * max(1, int(false_alarms[-1]))) & (gaps > 0)
    if not allowed.any() or not positive.any():
        return float(ordered[0]) + 0.5
    f1 = np.where(allowed, f1, -1)
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    chosen = int(best[np.argmax(gaps[best])])
    return float(ordered[chosen] - gaps[chosen] / 2)


def rates(margins: Margins, pixelated: NDArray[np.bool_], threshold: float) -> dict[str, float]:
    """F1, recall and rate of false positives, 0..1, at `threshold`."""
    predicted = margins >= threshold
    hits, positives = int((predicted & pixelated).sum()), int(pixelated.sum())
    return {
        "f1": 2 * hits / max(1, int(predicted.sum()) + positives),
        "recall": hits / max(1, positives),
        "false_positives": int((predicted & ~pixelated).sum()) / max(1, len(predicted) - positives),
    }


def _inference_batches(count: int) -> Iterator[NDArray[np.intp]]:
    for first in range(0, count, _INFERENCE_BATCH):
        yield np.arange(first, min(count, first + _INFERENCE_BATCH))


def _adam(network: nn.Module, recipe: DetectorRecipe) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019): kernels and matrices decay, biases and normalisation do not."""
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, foreach=True)
