"""`turbo` as a torch module: the reference for every other back end, and what training trains."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from deepclarity.models.generator import CENTRE, FOLD, Tensors, Turbo, check_shapes


class TurboNetwork(nn.Module):
    """See `deepclarity.models.generator` for the drawing; parameter names are those of the weight file."""

    def __init__(self, net: Turbo) -> None:
        super().__init__()
        c = net.channels
        self.stem = nn.Conv2d(1, c, 3 * FOLD, stride=FOLD)
        self.body = nn.ModuleList(nn.Conv2d(c, c, 3, padding=1) for _ in range(net.layers))
        self.tail = nn.ModuleDict({f"x{s}": nn.Conv2d(c, (FOLD * s) ** 2, 1) for s in net.scales})

    def forward(self, luma: Tensor, scale: int) -> Tensor:
        """Enlarge float32 luma (n, 1, h, w) in 0..1 to (n, 1, h * scale, w * scale), not clamped."""
        height, width = luma.shape[-2:]
        smooth = functional.interpolate(luma, scale_factor=scale, mode="bilinear", align_corners=False)
        edges = (FOLD, FOLD + width % FOLD, FOLD, FOLD + height % FOLD)
        x = functional.pad(luma - CENTRE, edges, mode="replicate").to(self.stem.weight.dtype)
        x = functional.relu(self.stem(x), inplace=True)
        for layer in self.body:
            x = functional.relu(layer(x), inplace=True)
        detail = functional.pixel_shuffle(self.tail[f"x{scale}"](x), FOLD * scale)
        return smooth + detail[..., : height * scale, : width * scale]


def network_from(net: Turbo, tensors: Mapping[str, NDArray[np.float32]], *, name: str) -> TurboNetwork:
    """A network on the CPU in float32 that holds copies of `tensors`."""
    check_shapes(net, tensors, name=name)
    network = TurboNetwork(net)
    network.load_state_dict({key: torch.from_numpy(value.copy()) for key, value in tensors.items()})
    return network


def tensors_of(network: nn.Module) -> Tensors:
    """The parameters of `network` as float32 arrays by name, ready for safetensors."""
    state = network.state_dict()
    return {key: value.detach().cpu().float().contiguous().numpy().copy() for key, value in state.items()}
