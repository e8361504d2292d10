"""Detectors, one per method; `load_detector` finds them by name."""

from __future__ import annotations

from importlib import import_module

from deepclarity.errors import UsageError, did_you_mean
from deepclarity.models.verdict import Detector

__all__ = ["DETECTORS", "load_detector"]

_METHODS = {"grid": ("grid", "Grid")}
"""Method: its module here and its class; imported when asked for, as some need heavy libraries."""

DETECTORS = tuple(_METHODS)
"""The names `load_detector` knows."""


def load_detector(name: str) -> Detector:
    """The detector of this method, ready to use."""
    if name not in _METHODS:
        raise UsageError(f"no detection method '{name}'; {did_you_mean(name, DETECTORS)}")
    module, kind = _METHODS[name]
    detector: Detector = getattr(import_module(f".{module}", __name__), kind)()
    return detector
