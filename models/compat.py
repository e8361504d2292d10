"""Workarounds for problems of other packages: torchvision with a CPU-only torch."""

from __future__ import annotations

import importlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from deepclarity.errors import DeviceError

if TYPE_CHECKING:
    import torch

_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[torch.library.Library] = []
"""Keeps the declarations of `_declare_operators` alive: they last as long as this reference."""


@cache
def import_torchvision() -> ModuleType:
    """Import `torchvision`, even with a torch without CUDA, where a plain import fails; DeviceError if that fails too.

    The default torchvision is compiled for CUDA. Its operators cannot be loaded with a CPU-only torch, yet its
    import refers to two of them. Declared without an implementation, they let models and transforms work; `ops.nms`,
    `ops.deform_conv2d` and `io` still do not.
    """
    import torch

    if torch.version.cuda is None and not _operators_load():
        _declare_operators()
    try:
        return importlib.import_module("torchvision")
    except (ImportError, RuntimeError) as error:
        raise DeviceError(f"torchvision cannot be imported ({error}); install the one that matches torch") from error


def _operators_load() -> bool:
    """Whether torchvision's compiled operators can be loaded with this torch."""
    import torch

    spec = find_spec("torchvision")  # does not import a top-level package
    folder = Path(spec.origin).parent if spec and spec.origin else Path()
    libraries = [path for path in folder.glob("_C*") if path.suffix in {".so", ".pyd"}]
    try:
        for path in libraries:
            torch.ops.load_library(path)  # type: ignore[no-untyped-call]
    except OSError:
        return False
    return bool(libraries)


def _declare_operators() -> None:
    import torch

    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for operator in _OPERATORS:
        library.define(operator)  # type: ignore[no-untyped-call]
    _declared.append(library)
