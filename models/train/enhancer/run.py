"""One training run of an enhancer: what a step does, and what a checkpoint holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepclarity.atomic_write import atomic_write
from deepclarity.errors import UsageError
from deepclarity.models.generator import Tensors, untrained
from deepclarity.models.train.checkpoints import opened_checkpoint, write_checkpoint
from deepclarity.models.train.muon import Muon
from deepclarity.models.train.optimizers import descend, follow, warm_cosine

from .discriminator import Discriminator, discriminator_loss, generator_loss
from .losses import Perceptual, charbonnier, squared
from .network import TrainingNetwork
from .patches import Bytes, Shelf, cut
from .recipe import Recipe

Losses = dict[str, Tensor]
"""What a step measured before it moved, scalars by name; not yet waited for."""


class Run:
    """One training run: networks, optimisers, moving average and step; all that a checkpoint holds.

    Everything random is drawn from the seed and the step number: a resumed run repeats an unbroken one, on the CPU
    with the same number of threads to the bit.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        start: Mapping[str, NDArray[np.float32]] | None = None,
        features: Path | None = None,
        device: str = "cpu",
    ) -> None:
        """`start`: weights to begin with, else random ones; `features`: folder of the perceptual loss's network."""
        self.recipe, self.step, self.device = recipe, 0, torch.device(device)
        self._dtype = torch.bfloat16 if recipe.bfloat16 else torch.float32
        torch.manual_seed(recipe.seed)
        tensors = start or untrained(recipe.net, seed=recipe.seed)
        self.network = self._new_network(tensors, self._dtype).to(self.device)
        self._average = {key: value.detach().clone() for key, value in self.network.state_dict().items()}
        self._optimisers = self._new_optimisers()
        self._perceptual = self._perceptual_loss(features)
        self._opponent = _Opponent(recipe, self._dtype, self.device) if recipe.adversarial_weight else None

    def advance(self, shelf: Shelf) -> Losses:
        """Take one step on patches of `shelf`."""
        recipe, rng = self.recipe, np.random.default_rng([self.recipe.seed, self.step])
        scale = int(rng.choice(recipe.scales, p=np.array(recipe.scale_shares)))
        patches = cut(shelf[scale], count=recipe.batch, patch_px=recipe.patch_px, rng=rng)
        small, large = (self._floats(side) for side in patches)
        made = self.network(small, scale)
        distance = squared if recipe.pixel_loss == "squared" else charbonnier
        losses = {"pixel": distance(made, large)}
        total = recipe.pixel_weight * losses["pixel"]
        if self._perceptual is not None:
            losses["perceptual"] = self._perceptual(made, large)
            total = total + recipe.perceptual_weight * losses["perceptual"]
        if self._opponent is not None:
            losses["adversarial"], losses["discriminator"] = self._opponent.judge(made, large)
            total = total + recipe.adversarial_weight * losses["adversarial"]
        descend(self._optimisers, self.network, total, self._schedule())
        if self._opponent is not None:
            self._opponent.learn(losses["discriminator"], self._schedule())
        follow(self._average, self.network.state_dict(), step=self.step, decay=recipe.ema_decay)
        self.step += 1
        return {name: loss.detach() for name, loss in losses.items()}

    def averaged(self) -> Tensors:
        """The moving average of the weights, as they are stored."""
        network = self._new_network(untrained(self.recipe.net), torch.float32)
        network.load_state_dict({key: value.cpu() for key, value in self._average.items()})
        return network.tensors()

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        write_checkpoint(
            path,
            self.recipe,
            step=self.step,
            average=self._average,
            network=self.network.state_dict(),
            optimisers=[optimiser.state_dict() for optimiser in self._optimisers],
            opponent=self._opponent.state() if self._opponent else None,
        )

    def load(self, path: Path) -> None:
        """Go on from a checkpoint that `save` wrote for the same recipe; SourceError names what differs."""
        with opened_checkpoint(path, self.recipe) as state:
            self.network.load_state_dict(state["network"])
            for optimiser, kept in zip(self._optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(kept)
            self._average = {key: state["average"][key].to(self.device) for key in self._average}
            self.step = state["step"]
            if self._opponent is not None:
                self._opponent.restore(state["opponent"])

    def _new_network(self, tensors: Mapping[str, NDArray[np.float32]], dtype: torch.dtype) -> TrainingNetwork:
        recipe = self.recipe
        return TrainingNetwork(recipe.net, tensors, dtype=dtype, widening=recipe.widening, seed=recipe.seed)

    def _new_optimisers(self) -> list[torch.optim.Optimizer]:
        recipe, mixing = self.recipe, self.network.mixing()
        if not recipe.muon_learning_rate:
            return [_adam(self.network.parameters(), recipe.learning_rate)]
        apart = {id(kernel) for kernel in mixing}
        others = [parameter for parameter in self.network.parameters() if id(parameter) not in apart]
        return [_adam(others, recipe.learning_rate), Muon(mixing, lr=recipe.muon_learning_rate)]

    def _perceptual_loss(self, features: Path | None) -> Perceptual | None:
        if not self.recipe.perceptual_weight:
            return None
        if features is None:
            raise UsageError("this recipe has a perceptual loss: name the folder of its VGG16 features by --features")
        return Perceptual(features, dtype=self._dtype).to(self.device)

    def _schedule(self) -> float:
        return warm_cosine(self.step, steps=self.recipe.steps, warmup_steps=self.recipe.warmup_steps)

    def _floats(self, pictures: Bytes) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(pictures)).to(self.device).float() / 255


class _Opponent:
    """The discriminator and what moves it."""

    def __init__(self, recipe: Recipe, dtype: torch.dtype, device: torch.device) -> None:
        self._network = Discriminator(recipe.discriminator_channels, dtype=dtype).to(device)
        self._optimiser = _adam(self._network.parameters(), recipe.discriminator_learning_rate)

    def judge(self, made: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """The generator's loss, which reaches `made` alone, and the discriminator's, which reaches itself alone."""
        of_real = self._network(real)
        self._network.requires_grad_(False)
        fooled = generator_loss(of_real.detach(), self._network(made))
        self._network.requires_grad_(True)
        return fooled, discriminator_loss(of_real, self._network(made.detach()))

    def learn(self, loss: Tensor, share: float) -> None:
        """Take a step by `share` of the learning rate."""
        descend([self._optimiser], self._network, loss, share)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"network": self._network.state_dict(), "optimiser": self._optimiser.state_dict()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Be again what `state` kept."""
        self._network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])


def export(tensors: Tensors, path: Path) -> None:
    """Write weights as safetensors, whole or not at all."""
    atomic_write(path, safetensors.numpy.save(tensors))


def _adam(parameters: Iterable[nn.Parameter], rate: float) -> torch.optim.Adam:
    return torch.optim.Adam(parameters, lr=rate, betas=(0.9, 0.99), foreach=True)
