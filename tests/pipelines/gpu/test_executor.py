"""GPU executor: same pictures as the CPU, results in order, and every kind of failure, injected on the CPU device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from deepclarity.errors import DeviceError
from deepclarity.models.backends.torch import TorchGenerator
from deepclarity.models.load import load_enhancer
from deepclarity.pipelines.executor import CpuExecutor
from deepclarity.pipelines.gpu.batch import Batch, Upload
from deepclarity.pipelines.gpu.executor import DeviceLostError, GpuExecutor
from deepclarity.stream.frame import Planes

from .pictures import request

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def generator(device: str = "cpu", name: str = "turbo") -> TorchGenerator:
    enhancer = load_enhancer(name, device=device, backend="torch")
    assert isinstance(enhancer, TorchGenerator)
    return enhancer


@pytest.fixture(scope="module", params=DEVICES)
def executor(request: pytest.FixtureRequest) -> Iterator[GpuExecutor]:
    executor = GpuExecutor(generator(request.param), max_batch=2)
    yield executor
    executor.close()


@pytest.fixture(scope="module")
def reference() -> CpuExecutor:
    return CpuExecutor(generator())


def differences(found: Planes, expected: Planes) -> tuple[int, float]:
    """The largest difference in levels, and the share of samples that differ by more than one."""
    errors = [np.abs(a.astype(int) - b) for a, b in zip(found, expected, strict=True)]
    assert [a.shape for a in found] == [b.shape for b in expected]
    assert [a.dtype for a in found] == [b.dtype for b in expected]
    flat = np.concatenate([error.ravel() for error in errors])
    return int(flat.max()), float((flat > 1).mean())


@pytest.mark.parametrize(
    "options",
    [
        {"block_px": 4},
        {"block_px": 2, "out": (480, 288)},
        {"block_px": 3, "phase_px": 1},
        {"block_px": 3.7, "out": (480, 288)},
        {"block_px": 8.05, "phase_px": 3, "size": (320, 192)},
        {"block_px": 1.5},
        {"block_px": 1, "out": (480, 288)},
        {"block_px": 1, "size": (162, 90), "out": (642, 358)},
        {"block_px": 2, "out": (100, 60)},
        {"block_px": 1, "out": (100, 60)},
        {"block_px": 4, "out": (320, 192), "max_value": 1023},
        {"block_px": 3.7, "max_value": 1023},
    ],
    ids=lambda options: "-".join(f"{key}={value}" for key, value in options.items()),
)
def test_planes_agree_with_the_cpu_within_two_levels(
    executor: GpuExecutor, reference: CpuExecutor, options: dict[str, Any]
) -> None:
    wanted = request(**options)
    found, expected = executor.submit(wanted).result(), reference.submit(wanted).result()
    levels = (wanted.max_value + 1) // 256  # float16 keeps 11 bits
    largest, share = differences(found, expected)
    assert largest <= 2 * levels
    if levels == 1:
        assert share <= 0.001


@pytest.mark.parametrize("max_batch", [1, 3])
def test_results_of_mixed_shapes_come_in_order(reference: CpuExecutor, max_batch: int) -> None:
    executor = GpuExecutor(generator(), max_batch=max_batch)
    requests = [request(4 if i % 3 else 2, seed=i, out=(160, 96) if i % 4 else (200, 120)) for i in range(11)]
    pending = [executor.submit(wanted) for wanted in requests]
    executor.flush()
    for job, wanted in zip(pending, requests, strict=True):
        assert differences(job.result(), reference.submit(wanted).result())[0] <= 1


def test_requesting_a_result_starts_an_incomplete_batch() -> None:
    executor = GpuExecutor(generator(), max_batch=8)
    assert executor.submit(request(4)).result()[0].shape == (96, 160)


class Faulty:
    """Wraps a runner's `start` and raises the given failures in turn; None: no failure."""

    def __init__(self, executor: GpuExecutor, *failures: Exception | None) -> None:
        self.failures = list(failures)
        self.batches: list[int] = []
        self._start = executor._runner.start
        executor._runner.start = self  # type: ignore[method-assign,assignment]

    def __call__(self, upload: Upload) -> Batch:
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        self.batches.append(len(upload.requests))
        return self._start(upload)


def out_of_memory() -> Exception:
    return torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def test_out_of_memory_halves_the_batch_for_good_and_loses_no_frame(
    reference: CpuExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    executor = GpuExecutor(generator(), max_batch=4)
    faulty = Faulty(executor, out_of_memory())
    requests = [request(4, seed=i) for i in range(8)]
    pending = [executor.submit(wanted) for wanted in requests]
    executor.flush()
    assert faulty.batches == [2, 2, 2, 2]
    assert executor.max_batch == 2
    assert "frames per batch: 2" in caplog.text
    for job, wanted in zip(pending, requests, strict=True):
        assert differences(job.result(), reference.submit(wanted).result())[0] <= 1


@pytest.mark.slow
def test_out_of_memory_with_one_frame_runs_the_network_in_tiles(reference: CpuExecutor) -> None:
    executor = GpuExecutor(generator(), max_batch=1)
    direct: Callable[..., Any] = executor._network._run

    def too_large(luma: torch.Tensor, scale: int, max_value: int) -> torch.Tensor:
        if luma.shape[-1] * luma.shape[-2] > 80 * 64:
            raise out_of_memory()
        result: torch.Tensor = direct(luma, scale, max_value)
        return result

    executor._network._run = too_large  # type: ignore[method-assign]
    wanted = request(1, size=(240, 180), out=(960, 720))
    for _ in range(2):  # the second one does not try the direct picture again
        assert differences(executor.submit(wanted).result(), reference.submit(wanted).result())[0] <= 1


def test_no_memory_even_for_a_tile_fails_that_frame_only() -> None:
    executor = GpuExecutor(generator(), max_batch=2)
    requests = [request(4, seed=i) for i in range(4)]
    Faulty(executor, out_of_memory(), out_of_memory(), out_of_memory())
    pending = [executor.submit(wanted) for wanted in requests]
    executor.flush()
    with pytest.raises(DeviceError, match="out of memory"):
        pending[0].result()
    assert [job.result()[0].shape for job in pending[1:]] == [(96, 160)] * 3


def test_cuda_error_is_raised_as_device_lost() -> None:
    executor = GpuExecutor(generator(), max_batch=1)
    Faulty(executor, RuntimeError("CUDA error: an illegal memory access was encountered\nmore"))
    with pytest.raises(DeviceLostError, match=r"illegal memory access was encountered\)$"):
        executor.submit(request(4))


def test_overflow_switches_to_float32_once_and_repeats_the_batch(reference: CpuExecutor) -> None:
    executor = GpuExecutor(generator(), max_batch=1)
    network, switched = executor._network, []
    run = network._run

    def overflows(luma: torch.Tensor, scale: int, max_value: int) -> torch.Tensor:
        result = run(luma, scale, max_value)
        return result if switched else result * torch.inf

    def use_float32() -> bool:
        switched.append(True)
        return len(switched) == 1

    network._run = overflows  # type: ignore[method-assign]
    network.use_float32 = use_float32  # type: ignore[method-assign]
    wanted = request(4)
    for _ in range(2):
        assert differences(executor.submit(wanted).result(), reference.submit(wanted).result())[0] <= 1
    assert switched == [True]


@pytest.mark.gpu
def test_graphs_give_the_pictures_of_direct_calls() -> None:
    executor = GpuExecutor(generator("cuda"), max_batch=2)
    wanted = [request(4, seed=i) for i in range(12)]
    direct = [GpuExecutor(generator("cuda"), max_batch=1).submit(each).result() for each in wanted]
    pending = [executor.submit(each) for each in wanted]
    for job, expected in zip(pending, direct, strict=True):
        assert differences(job.result(), expected)[0] <= 1


@pytest.mark.gpu
def test_missing_cuda_device_number_is_refused_in_one_line() -> None:
    with pytest.raises(DeviceError, match="no such device 'cuda:63'") as error:
        load_enhancer("turbo", device="cuda:63")
    assert "\n" not in str(error.value)
