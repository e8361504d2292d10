"""One training run of a detector: what a step does, what a checkpoint holds, and where the threshold comes to lie."""

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
from deepclarity.models.train.checkpoints import opened_checkpoint, write_checkpoint
from deepclarity.models.train.optimizers import descend, follow, warm_cosine

from .learner import PIXELATED, Arrays, Learner
from .recipe import DetectorRecipe

_JUDGED_AT_ONCE = 64

Margins = NDArray[np.float64]
"""How far the logit of `pixelated` lies above all others together, (pictures,): the score's logit."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Labelled pictures as the network takes them."""

    arrays: Arrays
    """The first axis counts pictures."""
    labels: NDArray[np.intp]
    """Index into the learner's classes."""

    def at(self, places: NDArray[np.intp]) -> Arrays:
        """Those at `places`."""
        return {name: array[places] for name, array in self.arrays.items()}


class DetectorRun:
    """Network, optimiser, moving average and step; all that a checkpoint holds.

    Everything random is drawn from the seed and the step number: a resumed run repeats an unbroken one, on the CPU
    with the same number of threads to the bit.
    """

    def __init__(self, recipe: DetectorRecipe, learner: Learner, *, device: str = "cpu", pictures: str = "") -> None:
        """`pictures`: what tells those to learn from; a checkpoint of others is refused."""
        self.recipe, self.learner, self.step, self._device = recipe, learner, 0, torch.device(device)
        self._pictures = pictures
        torch.manual_seed(recipe.seed)
        self.network = learner.network().to(self._device).train()
        self.averaged = copy.deepcopy(self.network).eval().requires_grad_(False)
        self._optimiser = _adam(self.network, recipe)
        self._epoch, self._order = -1, np.zeros(0, np.intp)

    def advance(self, seen: Seen) -> dict[str, Tensor]:
        """Take one step on a batch of `seen`; the loss before it."""
        recipe, seeds = self.recipe, np.random.SeedSequence([self.recipe.seed, self.step])
        places = self._places(len(seen.labels))
        batch = self.learner.augmented(seen.at(places), np.random.default_rng(seeds))
        torch.manual_seed(int(seeds.generate_state(1)[0]))  # for dropout
        labels = torch.from_numpy(seen.labels[places]).to(self._device)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=recipe.bfloat16):
            logits = self.network(self._tensors(batch))
        loss = functional.cross_entropy(logits.float(), labels, label_smoothing=recipe.label_smoothing)
        share = warm_cosine(self.step, steps=recipe.steps, warmup_steps=recipe.warmup_steps)
        descend([self._optimiser], self.network, loss, share)
        follow(self.averaged.state_dict(), self.network.state_dict(), step=self.step, decay=recipe.ema_decay)
        self.step += 1
        return {"loss": loss.detach()}

    def margins(self, seen: Seen) -> Margins:
        """What the averaged network makes of every picture."""
        pixelated = self.learner.classes.index(PIXELATED)
        found = []
        with torch.inference_mode():
            for places in _pieces(len(seen.labels)):
                logits = self.averaged(self._tensors(seen.at(places))).double()
                others = torch.cat([logits[:, :pixelated], logits[:, pixelated + 1 :]], dim=1)
                found.append((logits[:, pixelated] - others.logsumexp(dim=1)).cpu().numpy())
        return np.concatenate(found)

    def stored(self, *, shift: float) -> Tensors:
        """The averaged network as inference needs it; see `Learner.stored`."""
        return self.learner.stored(copy.deepcopy(self.averaged).cpu(), shift=shift)

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
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
        """Go on from a checkpoint that `save` wrote for the same recipe; SourceError names what differs."""
        with opened_checkpoint(path, self.recipe) as state:
            if state["pictures"] != self._pictures:
                raise SourceError(f"{path}: made from other pictures. Name the same --data, or begin without --resume.")
            self.network.load_state_dict(state["network"])
            self.averaged.load_state_dict(state["average"])
            self._optimiser.load_state_dict(state["optimiser"])
            self.step = state["step"]

    def _places(self, count: int) -> NDArray[np.intp]:
        """The next batch: every picture once, in an order of its own, before any comes again."""
        wanted = np.arange(self.step * self.recipe.batch, (self.step + 1) * self.recipe.batch)
        return np.array([self._ordered(place // count, count)[place % count] for place in wanted.tolist()], np.intp)

    def _ordered(self, epoch: int, count: int) -> NDArray[np.intp]:
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
    """The margin from which on to say pixelated, for the best F1 with no more false positives than that share.

    It lies in the middle between two pictures, where several are equally good between those farthest apart.
    """
    margins = np.nan_to_num(margins, nan=0.0, posinf=1e9, neginf=-1e9)  # who sees such ones ends the training anyway
    order = np.argsort(-margins, kind="stable")
    ordered, right = margins[order], pixelated[order]
    hits, wrong = np.cumsum(right), np.cumsum(~right)
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + right.sum())
    gaps = ordered - np.append(ordered[1:], ordered[-1] - 1)
    allowed = (wrong <= false_positives * max(1, int(wrong[-1]))) & (gaps > 0)
    if not allowed.any() or not right.any():
        return float(ordered[0]) + 0.5
    f1 = np.where(allowed, f1, -1)
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    chosen = int(best[np.argmax(gaps[best])])
    return float(ordered[chosen] - gaps[chosen] / 2)


def rates(margins: Margins, pixelated: NDArray[np.bool_], threshold: float) -> dict[str, float]:
    """F1, recall and false positives, 0..1, with `threshold`."""
    said = margins >= threshold
    hits, positives = int((said & pixelated).sum()), int(pixelated.sum())
    return {
        "f1": 2 * hits / max(1, int(said.sum()) + positives),
        "recall": hits / max(1, positives),
        "false_positives": int((said & ~pixelated).sum()) / max(1, len(said) - positives),
    }


def _pieces(count: int) -> Iterator[NDArray[np.intp]]:
    for first in range(0, count, _JUDGED_AT_ONCE):
        yield np.arange(first, min(count, first + _JUDGED_AT_ONCE))


def _adam(network: nn.Module, recipe: DetectorRecipe) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019): kernels and matrices decay, biases and normalisation do not."""
    learnt = list(network.parameters())
    groups = [
        {"params": [p for p in learnt if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in learnt if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, foreach=True)
