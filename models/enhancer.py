"""The `Enhancer` protocol: super-resolution of one luma plane."""

from __future__ import annotations

from typing import Protocol

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
