"""An artifact reducer in torch: the network that is trained, and on a GPU or where there is no OpenVINO, run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from deepclarity.errors import DeviceError
from deepclarity.models.verdict import Plane

from .architecture import FOLD, GAIN, ReducerNet

Cells = tuple[Plane, Plane, Plane]


class ReducerNetwork(nn.Module):
    """A reducer."""

    def __init__(self, net: ReducerNet, tensors: Mapping[str, NDArray[np.float32]] | None = None) -> None:
        """`tensors`: weights; None starts with random ones."""
        super().__init__()
        shapes = [shape for key, shape in net.shapes().items() if key.endswith("weight")]
        self.layers = nn.ModuleList(nn.Conv2d(shape[1], shape[0], 3, padding=1) for shape in shapes)
        if tensors is not None:
            for number, layer in enumerate(self.layers):
                for name, parameter in layer.named_parameters():
                    parameter.data = torch.from_numpy(tensors[f"layer{number}.{name}"].copy())

    def forward(self, planes: Tensor) -> Tensor:
        """What is to be added to the samples, (n, 6, h, w), of folded planes (n, 8, h, w)."""
        x = planes
        for number, layer in enumerate(self.layers):
            x = layer(x)
            if number < len(self.layers) - 1:
                x = functional.relu(x)
        return x * GAIN

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """The weights, named as in `ReducerNet.shapes`."""
        return {
            f"layer{number}.{name}": parameter.detach().float().cpu().numpy().copy()
            for number, layer in enumerate(self.layers)
            for name, parameter in layer.named_parameters()
        }


class TorchReducer:
    """Runs a reducer on planes with even sides."""

    def __init__(self, net: ReducerNet, tensors: Mapping[str, NDArray[np.float32]], *, device: str = "cpu") -> None:
        self._device = torch.device(device)
        self._network = ReducerNetwork(net, tensors).eval().to(self._device)
        self._dtype = torch.float16 if self._device.type == "cuda" else torch.float32
        self._network = self._network.to(self._dtype)
        self.backend = f"torch {device} {'fp16' if self._dtype == torch.float16 else 'fp32'}"

    def run(self, planes: Cells, known: NDArray[np.float32], *, max_value: int) -> Cells:
        """As `OpenVinoReducer.run`."""
        try:
            with torch.inference_mode():
                floats = [torch.from_numpy(plane.astype(np.float32)).to(self._device) / max_value for plane in planes]
                luma, blue, red = (plane[None, None] for plane in floats)
                samples = torch.cat([functional.pixel_unshuffle(luma, FOLD), blue, red], 1)
                given = torch.from_numpy(known)[None].to(self._device)
                inputs = torch.cat([samples - 0.5, given], 1).to(self._dtype)
                result = (samples + self._network(inputs).float()).clamp(0, 1) * max_value
                parts = functional.pixel_shuffle(result[:, :4], FOLD), result[:, 4:5], result[:, 5:6]
                dtype = planes[0].dtype
                one, other, third = (cast("Plane", (part[0, 0] + 0.5).cpu().numpy().astype(dtype)) for part in parts)
        except RuntimeError as error:
            raise DeviceError(f"torch could not repair a frame on {self._device}: {error}") from error
        return one, other, third

    def close(self) -> None:
        """Nothing is kept between calls."""
