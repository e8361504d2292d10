"""The networks of the program that this one replaces, by their published shapes, with random weights."""

from __future__ import annotations

import statistics
from typing import Any

import torch
from torch import Tensor, nn


class ResidualNetwork(nn.Module):
    """Plain residual blocks at low resolution, then two pixel shuffles: RGB in, RGB out, four times as large."""

    def __init__(self, *, blocks: int, channels: int, normalise: bool, ends: int) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, channels, ends, padding=ends // 2)
        self.body = nn.ModuleList(_block(channels, normalise=normalise) for _ in range(blocks))
        shuffles = [
            layer for _ in range(2) for layer in (_conv(channels, 4 * channels), nn.PixelShuffle(2), nn.PReLU())
        ]
        self.tail = nn.Sequential(*shuffles, nn.Conv2d(channels, 3, ends, padding=ends // 2))

    def forward(self, picture: Tensor) -> Tensor:
        """(n, 3, h, w) to (n, 3, 4 * h, 4 * w)."""
        first = features = self.head(picture)
        for block in self.body:
            features = features + block(features)
        enlarged: Tensor = self.tail(features + first)
        return enlarged


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _block(channels: int, *, normalise: bool) -> nn.Sequential:
    norm = [nn.BatchNorm2d(channels)] if normalise else []
    return nn.Sequential(_conv(channels, channels), *norm, nn.PReLU(), _conv(channels, channels), *norm)


@torch.no_grad()
def originals() -> dict[str, Any]:
    """Frames a second from 480x270 to Full HD: eager, float16, one picture at a time, input on the card."""
    networks = {
        "6 blocks x 32": ResidualNetwork(blocks=6, channels=32, normalise=False, ends=3),
        "16 blocks x 64": ResidualNetwork(blocks=16, channels=64, normalise=True, ends=9),
    }
    found = {}
    for name, network in networks.items():
        network = network.cuda().half().eval()  # noqa: PLW2901
        picture = torch.rand(1, 3, 270, 480, device="cuda").half()
        for _ in range(5):
            network(picture)
        rates = []
        for _ in range(5):
            first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            first.record()
            for _ in range(20):
                network(picture)
            last.record()
            last.synchronize()
            rates.append(20_000 / first.elapsed_time(last))
        found[name] = round(statistics.median(rates), 1)
    return found
