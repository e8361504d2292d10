"""TorchScript modules of the generators."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from deepclarity.models.backends.torch_network import GeneratorNetwork, network_from
from deepclarity.models.generator import CENTRE, Generator

from .spec import ExportSpec, rgb_to_ycc, ycc_to_rgb


class ExportNetwork(nn.Module):
    """(n, channels, h, w) float32 in 0..1 to (n, channels, h * scale, w * scale), clamped to 0..1."""

    def __init__(self, network: GeneratorNetwork, spec: ExportSpec) -> None:
        super().__init__()
        self.network, self._spec = network, spec
        for name, (matrix, offset) in (("to_ycc", rgb_to_ycc()), ("to_rgb", ycc_to_rgb())):
            self.register_buffer(f"{name}_matrix", torch.from_numpy(matrix)[:, :, None, None])
            self.register_buffer(f"{name}_offset", torch.from_numpy(offset))

    def forward(self, pixels: Tensor) -> Tensor:
        """Enlarge luma, or R'G'B' by the network on its luma and cubic interpolation of its chroma."""
        if not self._spec.rgb:
            return self._luma(pixels).clamp(0, 1)
        ycc = functional.conv2d(pixels, self.get_buffer("to_ycc_matrix"), self.get_buffer("to_ycc_offset"))
        luma, chroma = ycc[:, :1], ycc[:, 1:]
        factor = float(self._spec.scale)
        smooth = functional.interpolate(chroma, scale_factor=factor, mode="bicubic", align_corners=False)
        joined = torch.cat([self._luma(luma), smooth], 1).clamp(0, 1)
        rgb = functional.conv2d(joined, self.get_buffer("to_rgb_matrix"), self.get_buffer("to_rgb_offset"))
        return rgb.clamp(0, 1)

    def _luma(self, luma: Tensor) -> Tensor:
        """As `GeneratorNetwork`, with padding that does not depend on the size, so that a trace serves every size."""
        net, scale = self.network.net, self._spec.scale
        fold = net.fold
        smooth = functional.interpolate(luma, scale_factor=float(scale), mode="bilinear", align_corners=False)
        x = functional.pad(luma - CENTRE, (fold, 2 * fold - 1, fold, 2 * fold - 1), mode="replicate")
        cells = self.network.cells(x.to(self.network.dtype), scale).float()
        detail = functional.pixel_shuffle(cells, fold * scale)
        return smooth + detail[..., : luma.shape[-2] * scale, : luma.shape[-1] * scale]


def torchscript_bytes(
    net: Generator, tensors: Mapping[str, NDArray[np.float32]], spec: ExportSpec, *, metadata: Mapping[str, str]
) -> bytes:
    """The serialised module, for `torch.jit.load`; `metadata` is stored as extra files of these names."""
    network = network_from(net, tensors, name=metadata["name"]).eval().requires_grad_(False)
    if spec.half:
        network.half()
    example = torch.rand(1, spec.channels, 34, 42)
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is still what other programs load
        traced = torch.jit.trace(ExportNetwork(network, spec).eval(), example, check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(traced, buffer, _extra_files=dict(metadata))
    return buffer.getvalue()


def run_torchscript(content: bytes, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """The result of a serialised module for (1, channels, h, w)."""
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = torch.jit.load(io.BytesIO(content), map_location="cpu")  # type: ignore[no-untyped-call]
        large: NDArray[np.float32] = module(torch.from_numpy(pixels)).numpy()
    return large
