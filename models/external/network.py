"""What every external network is for the rest: facts, and a function from pixels to pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import DeviceError, WeightsError

Pixels = NDArray[np.float32]
"""(channels, height, width), R'G'B' or one channel of luma, 0..1."""

MAX_SCALE = 8
PROBE_PX = 32
"""Side of the picture by which a network is tested when it is loaded."""


@dataclass(frozen=True, slots=True)
class NetworkInfo:
    """What is known of a network once it has been loaded and tested."""

    name: str
    """The file's name."""
    architecture: str
    """`RealESRGAN Compact`, `ESRGAN`, …; `ONNX` for a graph."""
    scale: int
    channels: int
    """3: R'G'B'; 1: luma."""
    parameters: int
    licence: str
    """Of the weights, as the file states it; `-` if it does not."""
    architecture_licence: str = "-"
    """Of the architecture's code; `-` if the architecture is not known."""


class Network(Protocol):
    """A loaded network, to be used from one thread at a time."""

    info: NetworkInfo
    backend: str
    """Description of the back end for people: `spandrel cpu fp32`, `openvino onnx f32`."""
    bytes_per_px: float
    """Estimated working memory per pixel of the small picture."""
    fixed_size: tuple[int, int] | None
    """(height, width) if it accepts only this size."""
    tiled: bool
    """Whether it may be given a picture in parts."""

    def __call__(self, pixels: Pixels) -> Pixels:
        """Enlarge (channels, h, w) in 0..1 to (channels, h * scale, w * scale), clamped to 0..1.

        Raises MemoryError where the picture is too large, DeviceError if the device fails.
        """
        ...

    def available_bytes(self) -> int:
        """Free memory of its device, in bytes."""
        ...

    def close(self) -> None:
        """Release memory."""
        ...


def probe_picture(channels: int, size: tuple[int, int]) -> Pixels:
    """Fixed noise over a ramp, (channels, *size)."""
    height, width = size
    noise = np.random.default_rng(0).random((channels, height, width), np.float32)
    return np.asarray(noise * 0.5 + np.linspace(0, 0.5, width, dtype=np.float32), np.float32)


def measured_scale(name: str, given: tuple[int, ...], returned: tuple[int, ...], *, claimed: int | None) -> int:
    """The factor between two shapes (channels, height, width); WeightsError if it is not what the file claims."""
    channels, height, width = given
    scale = returned[-1] // width if len(returned) == 3 else 0
    if returned != (channels, height * scale, width * scale) or not 1 <= scale <= MAX_SCALE:
        raise WeightsError(
            f"{name}: turns {_text(given)} into {_text(returned)}; a model must keep its channels and enlarge both "
            f"sides by one integer factor from 1 to {MAX_SCALE}."
        )
    if claimed is not None and claimed != scale:
        raise WeightsError(f"{name}: claims to enlarge by {claimed}, but enlarges by {scale}. Get the file again.")
    return scale


def licence_of(metadata: dict[str, str]) -> str:
    """The licence that metadata states, or `-`."""
    for key in ("modelspec.license", "license", "licence"):
        if metadata.get(key):
            return " ".join(metadata[key].split())[:60]
    return "-"


def check_channels(name: str, inputs: int, outputs: int) -> int:
    """The number of channels, 1 or 3; WeightsError for any other."""
    if inputs != outputs or inputs not in (1, 3):
        raise WeightsError(
            f"{name}: takes {inputs} channels and returns {outputs}; only RGB (3) and luma (1) models fit."
        )
    return inputs


def check_finite_output(name: str, pixels: Pixels) -> None:
    """Raise WeightsError if the result of the test picture holds values that are not finite."""
    if not np.isfinite(pixels).all():
        raise WeightsError(
            f"{name}: returns values that are not numbers (NaN or infinite). Its weights may be damaged."
        )


def check_output(name: str, pixels: Pixels, *, expected: tuple[int, ...]) -> Pixels:
    """`pixels` clamped to 0..1; DeviceError for another shape, or values that are not finite."""
    if pixels.shape != expected:
        raise DeviceError(f"{name}: returned {_text(pixels.shape)} instead of {_text(expected)}.")
    if not np.isfinite(pixels).all():
        raise DeviceError(
            f"{name}: returned values that are not numbers (NaN or infinite). Its weights may be damaged."
        )
    return np.clip(pixels, 0, 1)


def _text(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
