"""Calibration of int8 inference: the range of the activations between layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepclarity.models.backends.torch_network import network_from
from deepclarity.models.generator import Generator
from deepclarity.models.verdict import Bytes

_QUANTILE = 0.9999
"""Share of the activations of a picture that must fit: clipping the few largest gives all others finer steps."""


def int8_ranges(
    net: Generator, tensors: Mapping[str, NDArray[np.float32]], pictures: Sequence[Bytes]
) -> tuple[float, ...]:
    """The largest input of each of `net.int8_layers` over small luma `pictures`; empty if there are no such layers."""
    names = net.int8_layers(net.scales[-1])
    if not names:
        return ()
    network = network_from(net, tensors, name="calibrated").eval()
    largest = dict.fromkeys(names, 0.0)

    def observe(name: str) -> None:
        def hook(module: object, inputs: tuple[Tensor, ...]) -> None:
            values = inputs[0].flatten()
            highest = values.kthvalue(max(1, round(_QUANTILE * len(values)))).values.item()
            largest[name] = max(largest[name], highest)

        network.layers[name.replace(".", "_")].register_forward_pre_hook(hook)

    for name in names:
        observe(name)
    with torch.inference_mode():
        for picture in pictures:
            network(torch.from_numpy(np.ascontiguousarray(picture))[None, None].float() / 255, net.scales[-1])
    return tuple(round(largest[name], 4) for name in names)
