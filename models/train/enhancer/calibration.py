"""What 8-bit inference must know: how large the numbers between the layers get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepclarity.models.backends.torch_network import network_from
from deepclarity.models.generator import Generator

from .patches import Bytes

_SHARE = 0.9999
"""Of the values of a picture that must fit: the last few may be cut off, so that the others get finer steps."""


def int8_ranges(
    net: Generator, tensors: Mapping[str, NDArray[np.float32]], pictures: Sequence[Bytes]
) -> tuple[float, ...]:
    """The largest input of each of `net.int8_layers` over small luma `pictures`; empty where there are none."""
    names = net.int8_layers(net.scales[-1])
    if not names:
        return ()
    network = network_from(net, tensors, name="calibrated").eval()
    largest = dict.fromkeys(names, 0.0)

    def watch(name: str) -> None:
        def look(module: object, inputs: tuple[Tensor, ...]) -> None:
            values = inputs[0].flatten()
            highest = values.kthvalue(max(1, round(_SHARE * len(values)))).values.item()
            largest[name] = max(largest[name], highest)

        network.layers[name.replace(".", "_")].register_forward_pre_hook(look)

    for name in names:
        watch(name)
    with torch.inference_mode():
        for picture in pictures:
            network(torch.from_numpy(np.ascontiguousarray(picture))[None, None].float() / 255, net.scales[-1])
    return tuple(round(largest[name], 4) for name in names)
