"""Training loop of an enhancer: steps, GAN phase, checkpoints, export."""

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
from deepclarity.models.generator import Tensors, initial_weights
from deepclarity.models.train.checkpoints import open_checkpoint, write_checkpoint
from deepclarity.models.train.optimizers import Muon, optimizer_step, update_ema, warmup_cosine
from deepclarity.models.verdict import Bytes

from .discriminator import Discriminator, discriminator_loss, generator_loss
from .losses import Perceptual, charbonnier, squared_error
from .network import TrainingNetwork
from .patches import PairsByScale, sample_patches
from .recipe import Recipe

Losses = dict[str, Tensor]
"""The losses of a step before its update: scalars by name, on the device and not yet synchronised."""


class Run:
    """Networks, optimisers, moving average and step: the state of a training run, which a checkpoint holds.

    All random numbers depend on the seed and the step number: a resumed run equals an uninterrupted one, bit for bit on
    the CPU with the same number of threads.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        start: Mapping[str, NDArray[np.float32]] | None = None,
        features: Path | None = None,
        device: str = "cpu",
    ) -> None:
        """`start`: initial weights, else random ones; `features`: folder of the perceptual loss's VGG16 features."""
        self.recipe, self.step, self.device = recipe, 0, torch.device(device)
        self._dtype = torch.bfloat16 if recipe.bfloat16 else torch.float32
        torch.manual_seed(recipe.seed)
        tensors = start or initial_weights(recipe.net, seed=recipe.seed)
        self.network = self._new_network(tensors, self._dtype).to(self.device)
        self._average = {key: value.detach().clone() for key, value in self.network.state_dict().items()}
        self._optimisers = self._new_optimisers()
        self._perceptual = self._perceptual_loss(features)
        self._adversarial = _Adversarial(recipe, self._dtype, self.device) if recipe.adversarial_weight else None

    def advance(self, pairs_by_scale: PairsByScale) -> Losses:
        """Run one training step on random patches of `pairs_by_scale`."""
        recipe, rng = self.recipe, np.random.default_rng([self.recipe.seed, self.step])
        scale = int(rng.choice(recipe.scales, p=np.array(recipe.scale_shares)))
        patches = sample_patches(pairs_by_scale[scale], count=recipe.batch, patch_px=recipe.patch_px, rng=rng)
        small, large = (self._floats(side) for side in patches)
        output = self.network(small, scale)
        distance = squared_error if recipe.pixel_loss == "squared" else charbonnier
        losses = {"pixel": distance(output, large)}
        total = recipe.pixel_weight * losses["pixel"]
        if self._perceptual is not None:
            losses["perceptual"] = self._perceptual(output, large)
            total = total + recipe.perceptual_weight * losses["perceptual"]
        if self._adversarial is not None:
            losses["adversarial"], losses["discriminator"] = self._adversarial.losses(output, large)
            total = total + recipe.adversarial_weight * losses["adversarial"]
        optimizer_step(self._optimisers, self.network, total, self._lr_factor())
        if self._adversarial is not None:
            self._adversarial.step(losses["discriminator"], self._lr_factor())
        update_ema(self._average, self.network.state_dict(), step=self.step, decay=recipe.ema_decay)
        self.step += 1
        return {name: loss.detach() for name, loss in losses.items()}

    def averaged(self) -> Tensors:
        """The weights of the moving average, for export."""
        network = self._new_network(initial_weights(self.recipe.net), torch.float32)
        network.load_state_dict({key: value.cpu() for key, value in self._average.items()})
        return network.tensors()

    def save(self, path: Path) -> None:
        """Write a checkpoint atomically."""
        write_checkpoint(
            path,
            self.recipe,
            step=self.step,
            average=self._average,
            network=self.network.state_dict(),
            optimisers=[optimiser.state_dict() for optimiser in self._optimisers],
            opponent=self._adversarial.state_dict() if self._adversarial else None,
        )

    def load(self, path: Path) -> None:
        """Resume from a checkpoint that `save` wrote for the same recipe; SourceError names the first difference."""
        with open_checkpoint(path, self.recipe) as state:
            self.network.load_state_dict(state["network"])
            for optimiser, saved in zip(self._optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(saved)
            self._average = {key: state["average"][key].to(self.device) for key in self._average}
            self.step = state["step"]
            if self._adversarial is not None:
                self._adversarial.load_state_dict(state["opponent"])

    def _new_network(self, tensors: Mapping[str, NDArray[np.float32]], dtype: torch.dtype) -> TrainingNetwork:
        recipe = self.recipe
        return TrainingNetwork(recipe.net, tensors, dtype=dtype, widening=recipe.widening, seed=recipe.seed)

    def _new_optimisers(self) -> list[torch.optim.Optimizer]:
        recipe, mixing = self.recipe, self.network.channel_mixing_kernels()
        if not recipe.muon_learning_rate:
            return [_adam(self.network.parameters(), recipe.learning_rate)]
        mixing_ids = {id(kernel) for kernel in mixing}
        others = [parameter for parameter in self.network.parameters() if id(parameter) not in mixing_ids]
        return [_adam(others, recipe.learning_rate), Muon(mixing, lr=recipe.muon_learning_rate)]

    def _perceptual_loss(self, features: Path | None) -> Perceptual | None:
        if not self.recipe.perceptual_weight:
            return None
        if features is None:
            raise UsageError("this recipe has a perceptual loss: give the folder of its VGG16 features with --features")
        return Perceptual(features, dtype=self._dtype).to(self.device)

    def _lr_factor(self) -> float:
        return warmup_cosine(self.step, steps=self.recipe.steps, warmup_steps=self.recipe.warmup_steps)

    def _floats(self, pictures: Bytes) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(pictures)).to(self.device).float() / 255


class _Adversarial:
    """The discriminator, its optimiser, and the losses of both networks."""

    def __init__(self, recipe: Recipe, dtype: torch.dtype, device: torch.device) -> None:
        self._network = Discriminator(recipe.discriminator_channels, dtype=dtype).to(device)
        self._optimiser = _adam(self._network.parameters(), recipe.discriminator_learning_rate)

    def losses(self, fake: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """The generator's loss, with gradients for `fake` only, and the discriminator's, for its own weights only."""
        real_logits = self._network(real)
        self._network.requires_grad_(False)
        of_generator = generator_loss(real_logits.detach(), self._network(fake))
        self._network.requires_grad_(True)
        return of_generator, discriminator_loss(real_logits, self._network(fake.detach()))

    def step(self, loss: Tensor, lr_factor: float) -> None:
        """Update the discriminator once."""
        optimizer_step([self._optimiser], self._network, loss, lr_factor)

    def state_dict(self) -> dict[str, Any]:
        """The state for a checkpoint."""
        return {"network": self._network.state_dict(), "optimiser": self._optimiser.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state from a checkpoint."""
        self._network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])


def export(tensors: Tensors, path: Path) -> None:
    """Write weights as safetensors, atomically."""
    atomic_write(path, safetensors.numpy.save(tensors))


def _adam(parameters: Iterable[nn.Parameter], rate: float) -> torch.optim.Adam:
    return torch.optim.Adam(parameters, lr=rate, betas=(0.9, 0.99), foreach=True)
