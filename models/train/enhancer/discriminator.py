"""Discriminator of the GAN phase and its losses."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm


class Discriminator(nn.Module):
    """PatchGAN (Isola et al. 2017): classifies overlapping patches; spectrally normalised (Miyato et al. 2018)."""

    def __init__(self, channels: int, *, dtype: torch.dtype = torch.float32) -> None:
        """`dtype`: of the convolutions; norms are always float32."""
        super().__init__()
        c, self._dtype = channels, dtype
        plan = [(1, c, 4, 2), (c, 2 * c, 4, 2), (2 * c, 2 * c, 3, 1), (2 * c, 4 * c, 4, 2), (4 * c, 1, 3, 1)]
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(inputs, outputs, side, stride=stride, padding=1))
            for inputs, outputs, side, stride in plan
        )

    def forward(self, luma: Tensor) -> Tensor:
        """Luma (n, 1, h, w) in 0..1 to logits (n, 1, about h / 8, about w / 8): higher is more real."""
        x = (luma - 0.5).to(self._dtype).contiguous(memory_format=torch.channels_last)
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, nn.Conv2d)
            assert layer.bias is not None
            x = functional.leaky_relu(x, 0.2) if number else x
            kernel = layer.weight.to(self._dtype).contiguous(memory_format=torch.channels_last)
            x = functional.conv2d(x, kernel, layer.bias.to(self._dtype), layer.stride, layer.padding)
        return x.float()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Relativistic average loss (Jolicoeur-Martineau 2018; in super-resolution Wang et al. 2018, ESRGAN) of logits."""
    return _relative(real, fake, 1.0) + _relative(fake, real, 0.0)


def generator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The same with the labels exchanged."""
    return _relative(real, fake, 0.0) + _relative(fake, real, 1.0)


def _relative(logits: Tensor, others: Tensor, label: float) -> Tensor:
    difference = logits - others.mean()
    return functional.binary_cross_entropy_with_logits(difference, torch.full_like(difference, label)) / 2
