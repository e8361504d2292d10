"""The contract of everything that makes a small plane large."""

from __future__ import annotations

from typing import Protocol

from .verdict import Plane


class Enhancer(Protocol):
    """Enlarges luma by whole factors. Made by `load_enhancer`; used from one thread at a time."""

    name: str
    """The tier: `turbo`, `lanczos`, …"""
    backend: str
    """What computes it, for people to read: `openvino bf16`, `torch fp32`, …"""
    scales: tuple[int, ...]
    """The factors it was trained for, ascending."""

    def __call__(self, luma: Plane, *, scale: int, max_value: int = 255) -> Plane:
        """Enlarge (height, width) to (height * scale, width * scale), same dtype, range 0..max_value."""
        ...

    def close(self) -> None:
        """Give back what the device holds."""
        ...
