"""Creates the executor for an enhancer that runs on a GPU."""

from __future__ import annotations

from deepclarity.models.backends.torch import TorchGenerator
from deepclarity.models.enhancer import Enhancer
from deepclarity.models.load import load_enhancer
from deepclarity.pipelines.executor import CpuExecutor, Executor

from .executor import GpuExecutor
from .recovery import RecoveringExecutor

_BATCH = 8


def gpu_executor(enhancer: Enhancer, *, fall_back: bool, latency: bool) -> Executor:
    """The executor for a torch enhancer on CUDA.

    `fall_back`: whether to continue on the CPU if the GPU is lost for good. `latency`: no batches, for live streams.
    """
    assert isinstance(enhancer, TorchGenerator)
    name, device = enhancer.name, str(enhancer.device)
    first: list[TorchGenerator] = [enhancer]

    def start() -> Executor:
        generator = first.pop() if first else load_enhancer(name, device=device)
        assert isinstance(generator, TorchGenerator)
        return GpuExecutor(generator, max_batch=1 if latency else _BATCH)

    def on_cpu() -> Executor:
        return CpuExecutor(load_enhancer(name, device="cpu"))

    return RecoveringExecutor(start, fallback=on_cpu if fall_back else None)
