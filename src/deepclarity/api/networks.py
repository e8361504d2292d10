"""Detectors and enhancers for the public API: loaded by name, safe to share between threads."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable

from deepclarity.errors import UsageError, did_you_mean
from deepclarity.models.colour import Planes, YCbCr
from deepclarity.models.detectors import DEFAULT_DETECTOR
from deepclarity.models.detectors import load_detector as _load_detector
from deepclarity.models.enhancer import Enhancer, PlanesEnhancer
from deepclarity.models.load import load_enhancer as _load_enhancer
from deepclarity.models.verdict import Detector, Plane
from deepclarity.pipelines.executor import CpuExecutor, Executor
from deepclarity.pipelines.load_executor import executor_for

_MATRICES = {"bt601": 6, "bt709": 1, "bt2020": 9}
"""H.273 matrix coefficients by name."""


class ThreadSafeEnhancer:
    """An enhancer that one thread uses at a time: calls from several threads take turns."""

    def __init__(self, enhancer: Enhancer) -> None:
        self.name = enhancer.name
        """The tier: `turbo`, `srgan`, …"""
        self.backend = enhancer.backend
        """What computes it: `openvino bf16`, `torch cuda fp16`, …"""
        self.scales = enhancer.scales
        """The factors it was trained for, ascending."""
        self._enhancer = enhancer
        self._lock = threading.Lock()

    def executor(self) -> Executor:
        """An executor for one thread's stream of frames: on a GPU it has streams of its own and takes no turns."""
        if self.backend.startswith("torch cuda"):
            return executor_for(self._enhancer, latency=True)
        return CpuExecutor(self)

    def __call__(self, luma: Plane, *, scale: int, max_value: int = 255) -> Plane:
        """Enlarge `luma`, (height, width), uint8 or uint16 in 0..max_value, by `scale`; same dtype and range."""
        with self._lock:
            return self._enhancer(luma, scale=scale, max_value=max_value)

    def close(self) -> None:
        """Release the device's memory. The enhancer cannot be used afterwards."""
        with self._lock:
            self._enhancer.close()


class ThreadSafePlanesEnhancer(ThreadSafeEnhancer):
    """An enhancer of luma and chroma together, for a network that computes in R'G'B'; threads take turns."""

    def __init__(self, enhancer: PlanesEnhancer) -> None:
        super().__init__(enhancer)
        self._planes_enhancer = enhancer

    def enlarge_planes(self, planes: Planes, *, scale: int, max_value: int = 255) -> Planes:
        """Enlarge Y', Cb and Cr, each (height, width), uint8 or uint16 in 0..max_value, by `scale`; same dtype."""
        with self._lock:
            return self._planes_enhancer.enlarge_planes(planes, scale=scale, max_value=max_value)

    def for_colour(self, colour: Callable[[], YCbCr]) -> ThreadSafePlanesEnhancer:
        """The same network; `colour`, called for each picture, says how its planes encode colour."""
        shared = ThreadSafePlanesEnhancer(self._planes_enhancer.for_colour(colour))
        shared._lock = self._lock
        return shared


def load_detector(method: str = DEFAULT_DETECTOR, *, pixel_art: bool = False) -> Detector:
    """Load a detector by the name of its method.

    Args:
        method: `lattice-net` (default), `grid`, `canny-mobilenet` or `mobilenet`.
        pixel_art: Whether pixel art counts as pixelated.

    Returns:
        A callable that takes luma, (height, width), uint8 or uint16, and returns a `Verdict`. Threads may share it.

    Raises:
        UsageError: No such method.
        WeightsError: Its weights are missing or damaged.
    """
    return _load_detector(method, pixel_art=pixel_art)


def load_enhancer(
    model: str | os.PathLike[str] = "auto", *, device: str = "auto", matrix: str = "bt601", full_range: bool = True
) -> Enhancer:
    """Load a super-resolution tier by name, or a model of your own by the path of its file.

    Args:
        model: `turbo`, `srgan-lite`, `srgan`, one of the latter two with `-fidelity`, `lanczos`, or `auto` (`turbo` on
            the CPU, `srgan` on an NVIDIA GPU); or the path of a `.safetensors`, `.pth` or `.onnx` file.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        matrix: For a model that computes in RGB: `bt601`, `bt709` or `bt2020`, how the planes passed to `correct`
            encode colour. Arrays of pixels are always converted as `bt601`, full range.
        full_range: Likewise, whether those planes use all values, or 16..235 and 16..240.

    Returns:
        A callable that enlarges luma, (height, width), uint8 or uint16. Threads may share it; they take turns. That of
        an RGB model has `enlarge_planes`, too.

    Raises:
        UsageError: No such model or device name.
        DeviceError: The device does not exist or cannot be used.
        WeightsError: The weights are missing or damaged, or the file holds no usable model.
    """
    if matrix not in _MATRICES:
        raise UsageError(f"matrix '{matrix}'; {did_you_mean(matrix, _MATRICES)}")
    enhancer = _load_enhancer(os.fspath(model), device=device)
    if not isinstance(enhancer, PlanesEnhancer):
        return ThreadSafeEnhancer(enhancer)
    colour = YCbCr(_MATRICES[matrix], full_range)
    return ThreadSafePlanesEnhancer(enhancer.for_colour(lambda: colour))


@functools.lru_cache(maxsize=8)
def cached_detector(method: str) -> Detector:
    """The detector called `method`, loaded once and kept."""
    return load_detector(method)


@functools.lru_cache(maxsize=4)
def cached_enhancer(model: str, device: str) -> Enhancer:
    """The enhancer called `model` on `device`, loaded once and kept."""
    return load_enhancer(model, device=device)


def stream_executor(enhancer: Enhancer) -> Executor:
    """The executor for one stream of frames; an enhancer of the caller's own runs on the CPU path."""
    return enhancer.executor() if isinstance(enhancer, ThreadSafeEnhancer) else CpuExecutor(enhancer)


def as_detector(detector: Detector | str) -> Detector:
    """`detector` itself, or the cached one of that name."""
    return cached_detector(detector) if isinstance(detector, str) else detector


def as_enhancer(model: Enhancer | str | os.PathLike[str], device: str) -> Enhancer:
    """`model` itself, or the cached one of that name or file on `device`."""
    return cached_enhancer(os.fspath(model), device) if isinstance(model, str | os.PathLike) else model
