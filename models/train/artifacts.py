"""Training of artifact reducers: one network, luma and chroma at once, the quantiser known or not."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from deepclarity.models.artifacts.architecture import FOLD, ReducerNet, scaled_quantiser
from deepclarity.models.artifacts.torch import ReducerNetwork
from deepclarity.models.generator import Tensors

from .optimizers import optimizer_step, update_ema, warmup_cosine

_UNKNOWN = 0.35
"""Share of the pairs of which the network is not given the quantiser."""
_CLEAN = 0.06
"""Share of the pairs in which the coded picture is replaced by the clean one."""
_FLOOR = 2e-5
"""Added to the error of the coded picture, by which that of the result is divided."""
_CHROMA_WEIGHT = 0.25

Crops = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ArtifactArrays:
    """Pairs of crops."""

    clean: tuple[Crops, Crops, Crops]
    """Luma (n, side, side), Cb and Cr (n, side / 2, side / 2)."""
    coded: tuple[Crops, Crops, Crops]
    qp: NDArray[np.float32]
    """(n,), on H.264's scale."""
    trusted: NDArray[np.bool_]
    """(n,): whether the quantiser describes the damage."""


@dataclass(frozen=True, slots=True)
class ReducerRecipe:
    """Parameters of a training run."""

    net: ReducerNet
    steps: int
    batch: int = 16
    patch_px: int = 96
    learning_rate: float = 2e-3
    ema_decay: float = 0.998
    seed: int = 1


def folded(luma: Tensor, blue: Tensor, red: Tensor) -> Tensor:
    """(n, 6, h/2, w/2) in -0.5..0.5 of uint8 planes (n, h, w) and (n, h/2, w/2) twice."""
    cells = functional.pixel_unshuffle(luma[:, None].float(), FOLD)
    return torch.cat([cells, blue[:, None].float(), red[:, None].float()], 1) / 255 - 0.5


def train_reducer(
    data: ArtifactArrays,
    recipe: ReducerRecipe,
    *,
    say: Callable[[str], None],
    save: Callable[[Tensors], None],
    start: Tensors | None = None,
) -> Tensors:
    """Train to the last step; `save` is called with the averaged weights now and then. `start`: initial weights."""
    torch.manual_seed(recipe.seed)
    network = ReducerNetwork(recipe.net, start)
    averaged = copy.deepcopy(network).eval().requires_grad_(False)
    optimiser = torch.optim.Adam(network.parameters(), recipe.learning_rate)
    losses: list[float] = []
    for step, (samples, target, known) in enumerate(_batches(data, recipe)):
        result = samples + network(torch.cat([samples, known], 1))
        loss = _relative_error(result, samples, target)
        factor = warmup_cosine(step, steps=recipe.steps, warmup_steps=200)
        optimizer_step([optimiser], network, loss, factor)
        update_ema(averaged.state_dict(), network.state_dict(), step=step, decay=recipe.ema_decay)
        losses.append(float(loss.detach()))
        if (step + 1) % 1000 == 0:
            say(f"step {step + 1}: loss {np.mean(losses[-1000:]):.4f}")
            save(averaged.tensors())
    return averaged.tensors()


def _relative_error(result: Tensor, coded: Tensor, target: Tensor) -> Tensor:
    """The mean of each picture's squared error over that of the coded one; chroma counts for less."""
    weight = torch.ones(result.shape[1])
    weight[-2:] = _CHROMA_WEIGHT
    weight = weight[:, None, None]
    after = ((result - target) ** 2 * weight).mean((1, 2, 3))
    before = ((coded - target) ** 2 * weight).mean((1, 2, 3))
    return (after / (before + _FLOOR)).mean()


def _batches(data: ArtifactArrays, recipe: ReducerRecipe) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Folded samples before and after the codec, and the planes of the quantiser."""
    rng = np.random.default_rng(recipe.seed)
    side, count = recipe.patch_px, len(data.qp)
    spare = data.clean[0].shape[1] - side
    for _ in range(recipe.steps):
        chosen = rng.integers(0, count, recipe.batch)
        # Crops start at any even sample: codecs' grids have every phase, as in cropped and resized video.
        x, y = (rng.integers(0, spare // FOLD + 1, 2) * FOLD).tolist()
        pair = [_patch(planes, chosen, x, y, side) for planes in (data.coded, data.clean)]
        clean = torch.from_numpy(rng.random(recipe.batch) < _CLEAN)
        coded, target = pair
        coded[clean] = target[clean]
        trusted = (rng.random(recipe.batch) >= _UNKNOWN) & data.trusted[chosen]
        qp = np.where(clean.numpy(), rng.uniform(15, 26, recipe.batch), data.qp[chosen])
        given = np.stack([np.where(trusted, scaled_quantiser(qp), 0), trusted], 1).astype(np.float32)
        planes = torch.from_numpy(given)[:, :, None, None].expand(-1, -1, side // FOLD, side // FOLD)
        if rng.random() < 0.5:
            coded, target = coded.flip(-1), target.flip(-1)
            coded, target = _swapped(coded, (1, 0, 3, 2, 4, 5)), _swapped(target, (1, 0, 3, 2, 4, 5))
        if rng.random() < 0.5:
            coded, target = coded.flip(-2), target.flip(-2)
            coded, target = _swapped(coded, (2, 3, 0, 1, 4, 5)), _swapped(target, (2, 3, 0, 1, 4, 5))
        yield coded, target, planes


def _patch(planes: tuple[Crops, Crops, Crops], chosen: NDArray[np.integer], x: int, y: int, side: int) -> Tensor:
    cut = []
    for plane, ratio in zip(planes, (1, FOLD, FOLD), strict=True):
        left, top, length = x // ratio, y // ratio, side // ratio
        cut.append(torch.from_numpy(plane[chosen, top : top + length, left : left + length]))
    return folded(cut[0], cut[1], cut[2])


def _swapped(planes: Tensor, order: tuple[int, ...]) -> Tensor:
    """The planes of a mirrored picture: mirroring swaps the samples within a cell."""
    return planes[:, list(order)]
