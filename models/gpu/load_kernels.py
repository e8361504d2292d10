"""Chooses the kernels for a device."""

from __future__ import annotations

import logging

import torch

from .kernels import Kernels
from .torch_kernels import TorchKernels

_log = logging.getLogger(__name__)


def load_kernels(device: torch.device) -> Kernels:
    """The CuPy kernels for a CUDA device if CuPy can be used there, else those of torch, with a log message."""
    if device.type == "cuda":
        try:
            from .cupy_kernels import CupyKernels

            return CupyKernels(device)
        except Exception as error:  # not installed, another CUDA version, no compiler: torch serves
            _log.info("CuPy cannot be used (%s): the repair runs on torch's own operators, which is slower", error)
    return TorchKernels()
