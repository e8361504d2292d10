"""Loading of executors by tier and device: on a GPU with streams and batches, else on the CPU."""

from __future__ import annotations

from deepclarity.models.enhancer import Enhancer
from deepclarity.models.load import load_enhancer

from .executor import CpuExecutor, Executor


def load_executor(name: str, *, device: str = "auto", latency: bool = False) -> Executor:
    """Load the tier `name` on `device` (`auto`, `cpu`, `cuda`, `cuda:N`) and whatever runs it best there.

    `latency`: for live streams, no frame waits for others to fill a batch. With `auto`, a GPU that fails for good is
    replaced by the CPU; a GPU that was asked for by name raises DeviceError instead. Raises UsageError for an unknown
    name, DeviceError if the device cannot be used.
    """
    return executor_for(load_enhancer(name, device=device), fall_back=device == "auto", latency=latency)


def executor_for(enhancer: Enhancer, *, fall_back: bool = False, latency: bool = False) -> Executor:
    """The executor that runs `enhancer` best: on a GPU with streams and batches, else on the CPU."""
    if not enhancer.backend.startswith("torch cuda"):
        return CpuExecutor(enhancer)
    from .gpu.load import gpu_executor  # imports torch, which the CPU path does not need

    return gpu_executor(enhancer, fall_back=fall_back, latency=latency)
