"""Fused kernels of the separable networks against the plain layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deepclarity.models.backends.torch import TorchGenerator
from deepclarity.models.load import load_enhancer


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["srgan-lite", "srgan"])
@pytest.mark.parametrize("shape", [(2, 1, 48, 64), (1, 1, 37, 51)])
def test_fused_body_equals_the_plain_layers(name: str, shape: tuple[int, ...]) -> None:
    generator = load_enhancer(name, device="cuda")
    assert isinstance(generator, TorchGenerator)
    network = generator.network
    fused, network.fused_body = network.fused_body, None
    assert fused is not None
    luma = torch.rand(shape, device="cuda")
    with torch.no_grad():
        plain = network(luma, 4)
        network.fused_body = fused
        found = network(luma, 4)
    assert float((found - plain).abs().max()) * 255 <= 1


@pytest.mark.gpu
def test_turbo_has_no_fused_body() -> None:
    generator = load_enhancer("turbo", device="cuda")
    assert isinstance(generator, TorchGenerator)
    assert generator.network.fused_body is None
    assert generator(np.zeros((8, 8), np.uint8), scale=4).shape == (32, 32)
