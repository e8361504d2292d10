"""Model files on an NVIDIA GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deepclarity.models.load import load_enhancer
from deepclarity.pipelines.executor import CpuExecutor, RepairRequest
from deepclarity.pipelines.load_executor import load_executor
from tests.models.external.models import ARCHITECTURES, network, save


@pytest.mark.gpu
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_gpu_computes_what_the_cpu_computes(tmp_path: Path, architecture: str) -> None:
    path = str(save(tmp_path / "2x.pth", network(architecture)))
    executor = load_executor(path, device="cuda")
    assert isinstance(executor, CpuExecutor)
    assert executor.backend in ("spandrel cuda fp16", "spandrel cuda fp32")
    rng = np.random.default_rng(0)
    luma, blue, red = (rng.integers(60, 190, (64, 96)).astype(np.uint8) for _ in range(3))
    request = RepairRequest((luma, blue, red), blocks=None, size=(192, 128), subsampling=(1, 1))
    expected = CpuExecutor(load_enhancer(path, device="cpu")).submit(request).result()
    for ours, theirs in zip(executor.submit(request).result(), expected, strict=True):
        assert np.abs(ours.astype(int) - theirs).max() <= 1
    executor.close()
