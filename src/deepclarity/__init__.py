"""DeepClarity repairs the pixelated frames of a video and leaves every other frame alone.

The public Python API, imported lazily: `import deepclarity` loads no library but the standard one. Every name is
documented in docs/python.md; errors are in `deepclarity.errors`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from deepclarity.version import __version__

if TYPE_CHECKING:
    from deepclarity import errors as errors
    from deepclarity.api.frames import repair as repair
    from deepclarity.api.images import correct as correct
    from deepclarity.api.images import detect as detect
    from deepclarity.api.networks import load_detector as load_detector
    from deepclarity.api.networks import load_enhancer as load_enhancer
    from deepclarity.api.video import detect_file as detect_file
    from deepclarity.api.video import upscale as upscale
    from deepclarity.models.enhancer import Enhancer as Enhancer
    from deepclarity.models.verdict import Blocks as Blocks
    from deepclarity.models.verdict import Detector as Detector
    from deepclarity.models.verdict import Kind as Kind
    from deepclarity.models.verdict import Verdict as Verdict
    from deepclarity.pipelines.detect_file import FileVerdict as FileVerdict
    from deepclarity.pipelines.preset import Preset as Preset
    from deepclarity.pipelines.preset import load_preset as load_preset
    from deepclarity.pipelines.records import FrameRecord as FrameRecord
    from deepclarity.pipelines.records import Summary as Summary

_MODULES = {
    "Blocks": "models.verdict",
    "Detector": "models.verdict",
    "Enhancer": "models.enhancer",
    "FileVerdict": "pipelines.detect_file",
    "FrameRecord": "pipelines.records",
    "Kind": "models.verdict",
    "Preset": "pipelines.preset",
    "Summary": "pipelines.records",
    "Verdict": "models.verdict",
    "correct": "api.images",
    "detect": "api.images",
    "detect_file": "api.video",
    "load_detector": "api.networks",
    "load_enhancer": "api.networks",
    "load_preset": "pipelines.preset",
    "repair": "api.frames",
    "upscale": "api.video",
}
"""Where each public name is defined."""

__all__ = [
    "Blocks",
    "Detector",
    "Enhancer",
    "FileVerdict",
    "FrameRecord",
    "Kind",
    "Preset",
    "Summary",
    "Verdict",
    "__version__",
    "correct",
    "detect",
    "detect_file",
    "errors",
    "load_detector",
    "load_enhancer",
    "load_preset",
    "repair",
    "upscale",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used (PEP 562)."""
    if name == "errors":
        return importlib.import_module("deepclarity.errors")
    if name not in _MODULES:
        raise AttributeError(f"module 'deepclarity' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"deepclarity.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({"__version__", *__all__})
