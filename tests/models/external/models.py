"""Small models with random weights, saved as the community saves them."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if find_spec("spandrel") is None:
    pytest.skip("spandrel is not installed: pip install 'deepclarity[models]'", allow_module_level=True)

import safetensors.torch
import torch
from torch import Tensor

from deepclarity.models.external.spandrel_network import import_spandrel

ARCHITECTURES = ("compact", "span", "esrgan")
LARGE_ARCHITECTURES = ("dat", "swinir", "plksr", "realplksr")
"""Tests with these are slow."""


def network(architecture: str, *, scale: int = 2, seed: int = 0) -> torch.nn.Module:
    """A small network of one of spandrel's architectures; its result resembles a picture."""
    import_spandrel()
    torch.manual_seed(seed)
    net: Any
    if architecture == "compact":
        from spandrel.architectures.Compact import Compact

        net = Compact(num_feat=16, num_conv=3, upscale=scale)
    elif architecture == "span":
        from spandrel.architectures.SPAN import SPAN

        net = SPAN(num_in_ch=3, num_out_ch=3, feature_channels=16, upscale=scale)
        net.upsampler[0].weight.data /= 200  # its mean is subtracted, and its range is 0..255
    elif architecture in LARGE_ARCHITECTURES:
        net = _large_network(architecture, scale)
    else:
        from spandrel.architectures.ESRGAN import ESRGAN

        net = ESRGAN(scale=scale, num_filters=16, num_blocks=1)
        net.model[-1].weight.data *= 5
    module: torch.nn.Module = net.eval()
    return module


def _large_network(architecture: str, scale: int) -> Any:
    with warnings.catch_warnings():  # of PyTorch, about the authors' code
        warnings.simplefilter("ignore")
        if architecture == "dat":
            from spandrel.architectures.DAT import DAT

            return DAT(embed_dim=24, split_size=[2, 4], depth=[2], num_heads=[2], expansion_factor=2, upscale=scale)
        if architecture == "swinir":
            from spandrel.architectures.SwinIR import SwinIR

            return SwinIR(
                embed_dim=24, depths=[2], num_heads=[2], window_size=8, mlp_ratio=2, upscale=scale,
                upsampler="pixelshuffle",
            )  # fmt: skip
        from spandrel.architectures.PLKSR import PLKSR, RealPLKSR

        sizes = {"dim": 16, "n_blocks": 2, "upscaling_factor": scale}
        return PLKSR(kernel_size=13, **sizes) if architecture == "plksr" else RealPLKSR(**sizes)


def save(path: Path, net: torch.nn.Module, **metadata: str) -> Path:
    """`.pth` in the form of BasicSR, {"params_ema": …}; `.safetensors` with metadata."""
    state = {key: value.contiguous() for key, value in net.state_dict().items()}
    if path.suffix == ".pth":
        torch.save({"params_ema": state}, path)
    else:
        safetensors.torch.save_file(state, path, metadata=metadata or None)
    return path


def by_spandrel(path: Path, rgb: np.ndarray) -> np.ndarray:
    """What spandrel itself makes of R'G'B' (h, w, 3) in 0..1 with the model at `path`."""
    spandrel = import_spandrel()
    if path.suffix == ".pth":
        state = torch.load(path, weights_only=True)["params_ema"]
    else:
        state = safetensors.torch.load_file(path)
    model = spandrel.ModelLoader().load_from_state_dict(spandrel.canonicalize_state_dict(state))
    large: Tensor = model(torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)))[None])
    return large[0].numpy().transpose(1, 2, 0)
