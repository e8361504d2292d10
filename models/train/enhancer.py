"""One training run of an enhancer: what a step does, and what a checkpoint holds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepclarity.errors import SourceError, UsageError
from deepclarity.models.generator import Tensors, untrained

from .adversary import Discriminator, discriminator_loss, generator_loss
from .losses import Perceptual, charbonnier
from .muon import Muon
from .network import TrainingNetwork
from .pairs import Bytes, Shelf, cut
from .recipe import Recipe

_CLIP = 0.5
"""Largest norm of a step's gradient: bfloat16 sometimes throws one far off."""


@dataclass(frozen=True, slots=True)
class Losses:
    """What a step measured before it moved; nan for what its recipe does without."""

    pixel: float
    perceptual: float = math.nan
    adversarial: float = math.nan
    discriminator: float = math.nan


class Run:
    """One training run: networks, optimisers, moving average and step; all that a checkpoint holds.

    Everything random is drawn from the seed and the step number: a resumed run repeats an unbroken one.
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
        self._discriminator: Discriminator | None = None
        if recipe.adversarial_weight:
            self._discriminator = Discriminator(recipe.discriminator_channels).to(self.device)
            self._discriminator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self._opponent = _adam(self._discriminator.parameters(), recipe.discriminator_learning_rate)

    def advance(self, shelf: Shelf) -> Losses:
        """Take one step on patches of `shelf`."""
        recipe, rng = self.recipe, np.random.default_rng([self.recipe.seed, self.step])
        scale = int(rng.choice(recipe.scales, p=np.array(recipe.scale_shares)))
        patches = cut(shelf[scale], count=recipe.batch, patch_px=recipe.patch_px, rng=rng)
        small, large = (self._floats(side) for side in patches)
        made = self.network(small, scale)
        pixel = charbonnier(made, large)
        loss, found = recipe.pixel_weight * pixel, Losses(pixel.item())
        if self._perceptual is not None:
            seen = self._perceptual(made, large)
            loss, found = loss + recipe.perceptual_weight * seen, Losses(pixel.item(), seen.item())
        if self._discriminator is not None:
            real = self._judged(large, learning=True)
            fooled = generator_loss(real.detach(), self._judged(made, learning=False))
            loss = loss + recipe.adversarial_weight * fooled
            caught = discriminator_loss(real, self._judged(made.detach(), learning=True))
            found = Losses(found.pixel, found.perceptual, fooled.item(), caught.item())
        self._descend(self._optimisers, self.network, loss)
        if self._discriminator is not None:
            self._descend([self._opponent], self._discriminator, caught)
        self._follow()
        self.step += 1
        return found

    def averaged(self) -> Tensors:
        """The moving average of the weights, as they are stored."""
        network = self._new_network(untrained(self.recipe.net), torch.float32)
        network.load_state_dict({key: value.cpu() for key, value in self._average.items()})
        return network.tensors()

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        state = {"step": self.step, "network": self.network.state_dict(), "average": self._average}
        state["optimisers"] = [optimiser.state_dict() for optimiser in self._optimisers]
        if self._discriminator is not None:
            state["discriminator"] = self._discriminator.state_dict()
            state["opponent"] = self._opponent.state_dict()
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint that `save` wrote for the same recipe."""
        try:
            state: dict[str, Any] = torch.load(path, weights_only=True, map_location=self.device)
            self.network.load_state_dict(state["network"])
            for optimiser, kept in zip(self._optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(kept)
            self._average, self.step = state["average"], state["step"]
            if self._discriminator is not None:
                self._discriminator.load_state_dict(state["discriminator"])
                self._opponent.load_state_dict(state["opponent"])
        except FileNotFoundError as error:
            raise SourceError(f"{path}: no checkpoint there to go on from. Begin without --resume.") from error
        except (OSError, RuntimeError, KeyError, ValueError, EOFError) as error:
            reason = str(error).splitlines()[0]
            raise SourceError(f"{path}: not a checkpoint of this recipe ({reason})") from error

    def _new_network(self, tensors: Mapping[str, NDArray[np.float32]], dtype: torch.dtype) -> TrainingNetwork:
        recipe = self.recipe
        return TrainingNetwork(recipe.net, tensors, dtype=dtype, widening=recipe.widening, seed=recipe.seed)

    def _perceptual_loss(self, features: Path | None) -> Perceptual | None:
        if not self.recipe.perceptual_weight:
            return None
        if features is None:
            raise UsageError("this recipe has a perceptual loss: name the folder of its VGG16 features by --features")
        return Perceptual(features, dtype=self._dtype).to(self.device)

    def _judged(self, luma: Tensor, *, learning: bool) -> Tensor:
        """What the discriminator says; only where it is `learning` can its weights be held to account."""
        assert self._discriminator is not None
        for parameter in self._discriminator.parameters():
            parameter.requires_grad_(learning)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.bfloat16):
            logits: Tensor = self._discriminator(luma)
        return logits

    def _new_optimisers(self) -> list[torch.optim.Optimizer]:
        recipe, mixing = self.recipe, self.network.mixing()
        if not recipe.muon_learning_rate:
            return [_adam(self.network.parameters(), recipe.learning_rate)]
        apart = {id(kernel) for kernel in mixing}
        others = [parameter for parameter in self.network.parameters() if id(parameter) not in apart]
        return [_adam(others, recipe.learning_rate), Muon(mixing, lr=recipe.muon_learning_rate)]

    def _descend(self, optimisers: Sequence[torch.optim.Optimizer], network: nn.Module, loss: Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), _CLIP)
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = optimiser.defaults["lr"] * self._schedule()
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

    def _schedule(self) -> float:
        """Linear warm-up, then a cosine (Loshchilov & Hutter 2017) to zero."""
        recipe = self.recipe
        warm = min(1.0, (self.step + 1) / max(1, recipe.warmup_steps))
        return warm * (0.5 + 0.5 * math.cos(math.pi * self.step / recipe.steps))

    def _follow(self) -> None:
        # Early on the average must not cling to the random start.
        decay = min(self.recipe.ema_decay, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            state = self.network.state_dict()
            torch._foreach_lerp_(list(self._average.values()), [state[key] for key in self._average], 1 - decay)

    def _floats(self, pictures: Bytes) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(pictures)).to(self.device).float() / 255


def export(tensors: Tensors, path: Path) -> None:
    """Write weights as safetensors, whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(safetensors.numpy.save(tensors))
    partial.replace(path)


def _adam(parameters: Iterable[nn.Parameter], rate: float) -> torch.optim.Adam:
    return torch.optim.Adam(parameters, lr=rate, betas=(0.9, 0.99), foreach=True)
