"""The `Enhancer` protocol: super-resolution of one luma plane; `PlanesEnhancer`: of colour too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from .colour import Planes, YCbCr
from .verdict import Plane


class Enhancer(Protocol):
    """Enlarges luma by integer factors. Created by `load_enhancer`; to be used from one thread at a time."""

    name: str
    """The tier: `turbo`, `lanczos`, …"""
    backend: str
    """Description of the back end for people: `openvino bf16`, `torch fp32`, …"""
    scales: tuple[int, ...]
    """The factors it was trained for, ascending."""

    def __call__(self, luma: Plane, *, scale: int, max_value: int = 255) -> Plane:
        """Enlarge (height, width) to (height * scale, width * scale), same dtype, range 0..max_value."""
        ...

    def close(self) -> None:
        """Release buffers and device memory."""
        ...


@runtime_checkable
class PlanesEnhancer(Enhancer, Protocol):
    """Enlarges luma and chroma together: a network for R'G'B'."""

    def enlarge_planes(self, planes: Planes, *, scale: int, max_value: int = 255) -> Planes:
        """Enlarge Y'CbCr planes of one shape (height, width) to (height * scale, width * scale); same dtype and range.

        Chroma has as many samples as luma (4:4:4).
        """
        ...

    def for_colour(self, colour: Callable[[], YCbCr]) -> PlanesEnhancer:
        """The same network; `colour`, called for each picture, says how its planes encode colour."""
        ...
