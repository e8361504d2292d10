"""Training of the network of `models.quality`, in torch: classes, quantiser and factors at once."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from deepclarity.models.generator import Tensors
from deepclarity.models.quality.features import FEATURES
from deepclarity.models.quality.network import CLASSES, HIDDEN, MAX_FEATURE, MIN_QP, QP_SPAN
from deepclarity.models.quality.periodicity import Floats
from deepclarity.models.verdict import Kind

from .optimizers import update_ema, warmup_cosine

_UNCODED_QP = 12.0
"""What pictures that were never coded are to be taken for."""
_BETWEEN_QP = (30.0, 37.0)
"""Coarsely coded pictures in between are neither clean nor blocky: their class is not trained."""
_DROPPED_IN, _DROPPED, _NOISE = 0.1, 0.2, 0.05
_QP_WEIGHT, _FACTOR_WEIGHT, _BETA = 2.0, 4.0, 0.05
_LABEL_SMOOTHING = 0.02


@dataclass(frozen=True, slots=True)
class QualityArrays:
    """Pictures with a known past."""

    features: Floats
    """(pictures, 2, FEATURES)."""
    kinds: NDArray[np.intp]
    """Indices into `CLASSES`: (pictures,)."""
    qp: Floats
    """The quantiser, 0 where the picture was not coded: (pictures,)."""
    factors: Floats
    """The factors of the enlargement: (pictures, 2)."""


@dataclass(frozen=True, slots=True)
class QualityRecipe:
    """Parameters of a training run."""

    steps: int = 12_000
    batch: int = 128
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    ema_decay: float = 0.998
    seed: int = 1
    false_positives: float = 0.006
    """Highest share of pictures wrongly called soft, and of those wrongly called blocky, on the validation pictures."""


class TorchQualityNetwork(nn.Module):
    """The network with random weights."""

    def __init__(self) -> None:
        super().__init__()
        first, second = HIDDEN
        self.first, self.second = nn.Linear(FEATURES, first), nn.Linear(first, second)
        self.factor, self.classes, self.qp = nn.Linear(second, 1), nn.Linear(2 * second, 3), nn.Linear(2 * second, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (n, 3), quantiser (n,) and log2 of the factors (n, 2) of standardised features (n, 2, FEATURES)."""
        x = functional.relu(self.first(functional.dropout(x, _DROPPED_IN, self.training)))
        x = functional.relu(self.second(functional.dropout(x, _DROPPED, self.training)))
        pooled = torch.cat([x.mean(1), x.amax(1)], 1)
        return self.classes(pooled), self.qp(pooled)[:, 0], self.factor(x)[..., 0]


def train_quality(
    training: QualityArrays, validation: QualityArrays, recipe: QualityRecipe, *, say: Callable[[str], None]
) -> Tensors:
    """Train on `training` and choose the thresholds on `validation`; returns tensors as in `network.shapes`."""
    torch.manual_seed(recipe.seed)
    flat = training.features.reshape(-1, FEATURES)
    mean, scale = flat.mean(axis=0), 1 / (flat.std(axis=0) + 1e-3)
    x = _standardised(training.features, mean, scale)
    truth = _Truth.of(training)
    network = TorchQualityNetwork()
    averaged = copy.deepcopy(network).eval().requires_grad_(False)
    optimiser = torch.optim.AdamW(network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    rng = torch.Generator().manual_seed(recipe.seed)
    for step in range(recipe.steps):
        batch = torch.randint(0, len(x), (recipe.batch,), generator=rng)
        inputs = x[batch] + _NOISE * torch.randn(recipe.batch, 2, FEATURES, generator=rng)
        loss = truth.loss(network.train()(inputs), batch)
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * warmup_cosine(step, steps=recipe.steps, warmup_steps=300)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        update_ema(averaged.state_dict(), network.state_dict(), step=step, decay=recipe.ema_decay)
        if (step + 1) % 2000 == 0:
            say(f"step {step + 1}: loss {loss.item():.3f}")
    tensors = {name: value.numpy().copy() for name, value in averaged.state_dict().items()}
    tensors |= {"features.mean": mean.astype(np.float32), "features.scale": scale.astype(np.float32)}
    return tensors | {"thresholds": _thresholds(averaged, validation, mean, scale, recipe.false_positives)}


def _standardised(features: Floats, mean: Floats, scale: Floats) -> Tensor:
    return torch.from_numpy(((features - mean) * scale).clip(-MAX_FEATURE, MAX_FEATURE).astype(np.float32))


@dataclass(frozen=True, slots=True)
class _Truth:
    """What a picture's outputs should be."""

    kinds: Tensor
    certain: Tensor
    """Pictures whose class is trained."""
    qp: Tensor
    log_factors: Tensor

    @classmethod
    def of(cls, arrays: QualityArrays) -> _Truth:
        kinds, qp = torch.from_numpy(arrays.kinds).long(), torch.from_numpy(arrays.qp)
        between = (qp > _BETWEEN_QP[0]) & (qp < _BETWEEN_QP[1])
        target = (torch.where(qp > 0, qp.clamp(MIN_QP), torch.tensor(_UNCODED_QP)) - MIN_QP) / QP_SPAN
        return cls(kinds, ~between, target, torch.from_numpy(np.log2(arrays.factors).astype(np.float32)))

    def loss(self, outputs: tuple[Tensor, Tensor, Tensor], batch: Tensor) -> Tensor:
        logits, qp, log_factors = outputs
        kinds, certain = self.kinds[batch], self.certain[batch]
        soft = kinds == CLASSES.index(Kind.SOFT)
        total = functional.cross_entropy(logits[certain], kinds[certain], label_smoothing=_LABEL_SMOOTHING)
        total = total + _QP_WEIGHT * functional.smooth_l1_loss(qp, self.qp[batch], beta=0.1)
        if soft.any():
            error = functional.smooth_l1_loss(log_factors[soft], self.log_factors[batch][soft], beta=_BETA)
            total = total + _FACTOR_WEIGHT * error
        return total


def _thresholds(
    network: nn.Module, validation: QualityArrays, mean: Floats, scale: Floats, false_positives: float
) -> Floats:
    """The lowest log odds of soft and of blocky with at most this share of false positives."""
    with torch.inference_mode():
        logits = network(_standardised(validation.features, mean, scale))[0].double().numpy()
    found = []
    clean = validation.qp < _BETWEEN_QP[0]
    for number in (1, 2):
        others = np.delete(logits, number, axis=1)
        odds = logits[:, number] - np.logaddexp(others[:, 0], others[:, 1])
        wrong = np.sort(odds[(validation.kinds != number) & (clean | (number == 1))])[::-1]
        found.append(float(wrong[int(false_positives * wrong.size)]))
    return np.array(found, np.float32)
