"""Detectors, one per method; `load_detector` loads them by name."""

from __future__ import annotations

from importlib import import_module

from deepclarity.errors import UsageError, did_you_mean
from deepclarity.models.verdict import Detector

__all__ = ["DEFAULT_DETECTOR", "DETECTORS", "load_detector"]

_METHODS = {
    "lattice-net": ("lattice_net", "LatticeNet"),
    "grid": ("grid", "Grid"),
    "canny-mobilenet": ("mobilenet", "CannyMobileNet"),
    "mobilenet": ("mobilenet", "MobileNet"),
}
"""Method → (module, class); imported on request, as some need heavy libraries."""

DEFAULT_DETECTOR = "lattice-net"
_DETECT_PIXEL_ART = ("lattice-net",)

DETECTORS = tuple(_METHODS)
"""The names that `load_detector` accepts."""


def check_detector(name: str) -> None:
    """Raise UsageError if `load_detector` does not know `name`."""
    if name not in _METHODS:
        raise UsageError(f"unknown detection method '{name}'; {did_you_mean(name, DETECTORS)}")


def load_detector(name: str, *, pixel_art: bool = False) -> Detector:
    """Load the detector of this method; UsageError if there is none.

    `pixel_art`: whether pixel art counts as pixelated; methods that cannot distinguish it ignore this.
    """
    check_detector(name)
    module, kind = _METHODS[name]
    options = {"pixel_art": pixel_art} if name in _DETECT_PIXEL_ART else {}
    detector: Detector = getattr(import_module(f".{module}", __name__), kind)(**options)
    return detector
