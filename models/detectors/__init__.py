"""Detectors, one per method; `load_detector` finds them by name."""

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
"""Method: its module here and its class; imported when asked for, as some need heavy libraries."""

DEFAULT_DETECTOR = "lattice-net"
_TELL_PIXEL_ART = ("lattice-net",)

DETECTORS = tuple(_METHODS)
"""The names `load_detector` knows."""


def check_detector(name: str) -> None:
    """Raise UsageError where `load_detector` would not know `name`."""
    if name not in _METHODS:
        raise UsageError(f"no detection method '{name}'; {did_you_mean(name, DETECTORS)}")


def load_detector(name: str, *, pixel_art: bool = False) -> Detector:
    """The detector of this method, ready to use.

    `pixel_art`: whether that counts as pixelated; methods that cannot tell it from other blocks take no notice.
    """
    check_detector(name)
    module, kind = _METHODS[name]
    options = {"pixel_art": pixel_art} if name in _TELL_PIXEL_ART else {}
    detector: Detector = getattr(import_module(f".{module}", __name__), kind)(**options)
    return detector
