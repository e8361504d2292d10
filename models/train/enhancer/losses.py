"""Training losses of the enhancers: Charbonnier, squared error, and perceptual (LPIPS with VGG16)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from deepclarity.errors import SourceError

VGG16_FILE = "vgg16_to_relu4_3_fp16.npz"
"""File name of conv0 … conv9 of VGG16 and the LPIPS heads lin0 … lin3, as NumPy arrays."""

_CHARBONNIER = 1e-3
_BLOCKS = (2, 2, 3, 3)
_COMPARED = (1, 2, 3)
"""Blocks whose last layer is compared; the first adds little to a pixel loss and takes half of the total time."""
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


def charbonnier(output: Tensor, truth: Tensor) -> Tensor:
    """Charbonnier et al. 1994: an L1 loss that is smooth at zero. float32 0..1 in, a scalar out."""
    return (output - truth).square().add(_CHARBONNIER**2).sqrt().mean()


def squared_error(output: Tensor, truth: Tensor) -> Tensor:
    """The mean squared error, which PSNR is based on. Best as the last phase, after `charbonnier`."""
    return functional.mse_loss(output, truth)


class Perceptual(nn.Module):
    """LPIPS with VGG16 (Zhang et al. 2018) at relu2_2, relu3_3 and relu4_3, of luma as a grey picture.

    Features of VGG16 (Simonyan & Zisserman 2015) as Johnson et al. 2016 use them; each position is normalised over
    channels and weighted by the LPIPS heads.
    """

    def __init__(self, folder: Path, *, dtype: torch.dtype) -> None:
        """Read `VGG16_FILE` from `folder`; SourceError if that fails."""
        super().__init__()
        path = folder / VGG16_FILE
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {key: torch.from_numpy(file[key].astype(np.float32)) for key in file.files}
            for i in range(sum(_BLOCKS)):
                kernel = arrays[f"conv{i}.weight"].to(dtype).contiguous(memory_format=torch.channels_last)
                self.register_buffer(f"kernel{i}", kernel, persistent=False)
                self.register_buffer(f"bias{i}", arrays[f"conv{i}.bias"].to(dtype), persistent=False)
            for i in _COMPARED:
                self.register_buffer(f"head{i}", arrays[f"lin{i}"].view(1, -1, 1, 1).to(dtype), persistent=False)
        except (OSError, ValueError, KeyError) as error:
            raise SourceError(
                f"{path}: no usable VGG16 features for the perceptual loss ({error}). Check --features."
            ) from error
        self.register_buffer("shift", torch.tensor(_SHIFT).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(_SCALE).view(1, 3, 1, 1), persistent=False)
        self._dtype = dtype

    def forward(self, output: Tensor, truth: Tensor) -> Tensor:
        """Distance of studio-range luma (n, 1, h, w) in 0..1, sides of at least 32: a scalar from 0."""
        with torch.no_grad():
            truth_features = self._features(truth)
        total = output.new_zeros(())
        for number, ours, theirs in zip(_COMPARED, self._features(output), truth_features, strict=True):
            weighted = (ours - theirs).square() * self.get_buffer(f"head{number}")
            total = total + weighted.sum(1, dtype=torch.float32).mean()
        return total

    def _features(self, luma: Tensor) -> list[Tensor]:
        grey = (luma * 255 - 16) / 219 * 2 - 1
        x = (grey - self.get_buffer("shift")) / self.get_buffer("scale")
        x = x.to(self._dtype).contiguous(memory_format=torch.channels_last)
        features, layer = [], 0
        for number, depth in enumerate(_BLOCKS):
            x = functional.max_pool2d(x, 2) if number else x
            for _ in range(depth):
                kernel, bias = self.get_buffer(f"kernel{layer}"), self.get_buffer(f"bias{layer}")
                x = functional.relu(functional.conv2d(x, kernel, bias, padding=1), inplace=True)
                layer += 1
            if number in _COMPARED:
                features.append(_normalised(x))
        return features


def _normalised(x: Tensor) -> Tensor:
    length = x.square().sum(1, keepdim=True, dtype=torch.float32)
    return x * (length + 1e-10).rsqrt().to(x.dtype)
