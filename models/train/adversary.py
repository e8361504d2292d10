"""The other side of the GAN phase: a network that tells made pictures from real ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm


class Discriminator(nn.Module):
    """Judges overlapping patches (PatchGAN, Isola et al. 2017), spectrally normalised (Miyato et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        c = channels
        plan = [(1, c, 4, 2), (c, 2 * c, 4, 2), (2 * c, 2 * c, 3, 1), (2 * c, 4 * c, 4, 2)]
        self.body = nn.ModuleList(
            spectral_norm(nn.Conv2d(inputs, outputs, side, stride=stride, padding=1))
            for inputs, outputs, side, stride in plan
        )
        self.verdict = spectral_norm(nn.Conv2d(4 * c, 1, 3, padding=1))

    def forward(self, luma: Tensor) -> Tensor:
        """Luma (n, 1, h, w) in 0..1 to logits (n, 1, about h / 8, about w / 8): higher is more real."""
        x = (luma - 0.5).contiguous(memory_format=torch.channels_last)
        for layer in self.body:
            x = functional.leaky_relu(layer(x), 0.2)
        logits: Tensor = self.verdict(x)
        return logits.float()


def discriminator_loss(real: Tensor, made: Tensor) -> Tensor:
    """Relativistic average loss (Jolicoeur-Martineau 2018; in super-resolution Wang et al. 2018, ESRGAN)."""
    return _relative(real, made, 1.0) + _relative(made, real, 0.0)


def generator_loss(real: Tensor, made: Tensor) -> Tensor:
    """The same with the roles exchanged."""
    return _relative(real, made, 0.0) + _relative(made, real, 1.0)


def _relative(logits: Tensor, others: Tensor, label: float) -> Tensor:
    difference = logits - others.mean()
    return functional.binary_cross_entropy_with_logits(difference, torch.full_like(difference, label)) / 2
