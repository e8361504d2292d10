"""OpenVINO runs a PyTorch model only where it computes what PyTorch computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deepclarity.models.external.fast_path import FastPath
from deepclarity.models.load import load_enhancer
from tests.models.external.models import ARCHITECTURES, by_spandrel, network, save

PICTURES = [np.random.default_rng(seed).random((3, 40, 56), np.float32) for seed in range(4)]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_picture_of_a_video_equals_spandrel(tmp_path: Path, architecture: str) -> None:
    path = save(tmp_path / "2x.pth", network(architecture))
    net = load_enhancer(str(path), device="cpu")._network  # type: ignore[attr-defined]
    for picture in PICTURES:
        expected = by_spandrel(path, picture.transpose(1, 2, 0)).transpose(2, 0, 1)
        np.testing.assert_allclose(net(picture), expected, atol=1e-4)
    assert net._fast_path._checked == {(40, 56)}
    net.close()


class SizeDependent(nn.Module):
    """Shifts brightness by the width in a way that a trace fixes."""

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels * (1 if pixels.shape[-1] == 32 else 0.5)


def test_a_model_that_depends_on_the_size_stays_with_pytorch() -> None:
    module = SizeDependent()

    def by_torch(pixels: np.ndarray) -> np.ndarray:
        result: np.ndarray = module(torch.from_numpy(pixels)[None])[0].numpy()
        return result

    path = FastPath(module, module, channels=3)
    for picture in PICTURES:
        np.testing.assert_array_equal(path(picture, by_torch), picture * np.float32(0.5))
    assert not path._usable
