"""Torch back end of the generators: the reference on the CPU in float32, and CUDA in float16."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepclarity.errors import DeviceError
from deepclarity.models.generator import Generator
from deepclarity.models.verdict import Plane

from .checks import check_plane, check_scale, first_line
from .tiling import enlarge_tiled
from .torch_network import GeneratorNetwork, network_from

_log = logging.getLogger(__name__)

_Run = Callable[[Tensor], Tensor]


class TorchGenerator:
    """Runs a generator with torch. On CUDA all work is queued on a dedicated stream."""

    def __init__(
        self,
        net: Generator,
        tensors: Mapping[str, NDArray[np.float32]],
        *,
        name: str = "generator",
        device: str = "cpu",
    ) -> None:
        """`device` is `cpu`, `cuda` or `cuda:N`; raises `DeviceError` if it does not exist or cannot be used."""
        self.name = name
        self.scales = net.scales
        self._net = net
        self._device = usable_device(device)
        try:
            self._cuda = _Cuda(self._device) if self._device.type == "cuda" else None
            self._tensors = tensors
            self._network = self._on_device(tensors)
            if self._cuda:
                self._network = self._half_if_safe(self._network)
                self._fuse_if_possible()
        except RuntimeError as error:  # listed, but too old for this torch, or out of memory
            raise DeviceError(f"torch cannot use '{self._device}' ({first_line(error)}); use --device cpu") from error
        dtype = "fp16" if self._network.dtype == torch.float16 else "fp32"
        self.backend = f"torch {self._device.type} {dtype}"

    def __call__(self, luma: Plane, *, scale: int, max_value: int = 255) -> Plane:
        """Enlarge (height, width) to (height * scale, width * scale), same dtype, range 0..max_value."""
        check_scale(self.name, scale, self.scales)
        luma = check_plane(luma, max_value)
        try:
            return enlarge_tiled(
                lambda tile: self._enlarge(self._network, tile, scale, max_value),
                luma,
                scale=scale,
                receptive_radius_px=self._net.receptive_radius_px,
                out_of_memory=torch.cuda.OutOfMemoryError,
                on_out_of_memory=torch.cuda.empty_cache,
            )
        except DeviceError:
            raise
        except RuntimeError as error:
            reason = first_line(error)
            raise DeviceError(f"torch failed on '{self._device}' ({reason}); use --device cpu") from error

    @property
    def network(self) -> GeneratorNetwork:
        """The network on its device: (n, 1, h, w) float32 in 0..1 to (n, 1, h * scale, w * scale)."""
        return self._network

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self._device

    @property
    def receptive_radius_px(self) -> int:
        """How far around a pixel its result depends on others, in pixels of the small picture."""
        return self._net.receptive_radius_px

    def use_float32(self) -> bool:
        """Switch from float16 to float32 for good, after an overflow; returns whether anything changed."""
        if self._network.dtype == torch.float32:
            return False
        self._network = self._on_device(self._tensors)
        self.backend = f"torch {self._device.type} fp32"
        _log.warning("%s: float16 overflows on %s; using float32 from now on", self.name, self._device)
        return True

    def close(self) -> None:
        """Release the buffers; a later call allocates new ones."""
        if self._cuda:
            self._cuda.release()

    def _on_device(self, tensors: Mapping[str, NDArray[np.float32]]) -> GeneratorNetwork:
        """The network in float32, channels last."""
        network = network_from(self._net, tensors, name=self.name).to(self._device)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network.eval().requires_grad_(False)

    def _enlarge(self, network: GeneratorNetwork, luma: Plane, scale: int, max_value: int) -> Plane:
        source = torch.from_numpy(luma.copy())  # a copy, because a decoder's plane may be read-only
        with torch.inference_mode():
            if self._cuda:
                return self._cuda.round_trip(source, lambda x: _run(network, x, scale, max_value))
            enlarged: Plane = _run(network, source, scale, max_value).numpy()
            return enlarged

    def _fuse_if_possible(self) -> None:
        """Run separable blocks as fused kernels if Triton works here and their result agrees within 2 levels."""
        network = self._network
        if self._net.family != "separable" or network.dtype != torch.float16:
            return
        luma = _test_picture()
        expected = self._enlarge(network, luma, self.scales[-1], 255)
        try:
            from deepclarity.models.gpu.fused import FusedBody

            network.fused_body = FusedBody(network)
            error = _largest_difference(self._enlarge(network, luma, self.scales[-1], 255), expected)
            if error <= 2:
                return
            reason = f"off by {error} levels"
        except Exception as failure:  # no Triton, no C compiler, a GPU that is too old: cuDNN serves
            reason = first_line(failure)
        network.fused_body = None
        _log.info("%s: fused kernels cannot be used (%s); using cuDNN, which is slower", self.name, reason)

    def _half_if_safe(self, exact: GeneratorNetwork) -> GeneratorNetwork:
        """A float16 copy of `exact` if its result for a fixed picture differs by at most 2 levels; else `exact`."""
        half, scale, luma = copy.deepcopy(exact).half(), self.scales[-1], _test_picture()
        # Rounding to uint8 hides NaN and Inf, so the values before rounding are checked as well.
        with torch.inference_mode():
            raw = half(torch.from_numpy(luma).to(self._device).float()[None, None] / 255, scale)
            finite = bool(raw.isfinite().all())
        expected, actual = (self._enlarge(network, luma, scale, 255) for network in (exact, half))
        error = _largest_difference(actual, expected)
        if finite and error <= 2:
            return half
        problem = f"is off by {error} levels" if finite else "overflows"
        _log.warning("%s: float16 %s on %s; using float32", self.name, problem, self._device)
        return exact


def _test_picture() -> Plane:
    """Noise in blocks of 2: uint8, (48, 80)."""
    luma: Plane = np.random.default_rng(0).integers(0, 256, (24, 40)).astype(np.uint8)
    return luma.repeat(2, axis=0).repeat(2, axis=1)


def _largest_difference(actual: Plane, expected: Plane) -> int:
    return int(np.abs(actual.astype(np.int16) - expected).max())


class _Cuda:
    """A CUDA stream, and pinned host buffers that are reused for pictures of the same size."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pinned: dict[str, Tensor] = {}

    def round_trip(self, source: Tensor, run: _Run) -> Plane:
        """Upload `source`, run, download, synchronise; returns a new array."""
        self._stream.wait_stream(torch.cuda.current_stream(self._device))  # the weights were uploaded on that one
        with torch.cuda.stream(self._stream):
            upload = self._buffer("up", source).copy_(source)
            result = run(upload.to(self._device, non_blocking=True))
            download = self._buffer("down", result)
            download.copy_(result, non_blocking=True)
        self._stream.synchronize()
        enlarged: Plane = download.numpy().copy()
        return enlarged

    def release(self) -> None:
        """Release the pinned memory."""
        self._pinned.clear()

    def _buffer(self, name: str, like: Tensor) -> Tensor:
        buffer = self._pinned.get(name)
        if buffer is None or buffer.shape != like.shape or buffer.dtype != like.dtype:
            buffer = self._pinned[name] = torch.empty(like.shape, dtype=like.dtype, pin_memory=True)
        return buffer


def _run(network: GeneratorNetwork, luma: Tensor, scale: int, max_value: int) -> Tensor:
    """Integer levels (h, w) in, integer levels (h * scale, w * scale) out, same dtype and device."""
    large: Tensor = network(luma.float()[None, None] / max_value, scale)
    return (large[0, 0] * max_value + 0.5).clamp_(0, max_value).to(luma.dtype)


def usable_device(device: str) -> torch.device:
    chosen = torch.device(device)
    if chosen.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (chosen.index or 0) >= count:
            raise DeviceError(
                f"no such device '{device}': torch {torch.__version__} finds {count} CUDA devices; use --device cpu"
            )
    return chosen
