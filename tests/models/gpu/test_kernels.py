"""GPU kernels against their NumPy references: the torch versions anywhere, the CuPy versions where there is a GPU."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from deepclarity.models.gpu.filters import AxisFilter, BlockCells, filter_of
from deepclarity.models.gpu.kernels import Blend, Kernels
from deepclarity.models.gpu.torch_kernels import TorchKernels

Planes = NDArray[np.uint8] | NDArray[np.uint16]


@pytest.fixture(params=["torch", pytest.param("cupy", marks=pytest.mark.gpu)])
def kernels(request: pytest.FixtureRequest) -> Iterator[tuple[Kernels, torch.device]]:
    """Each set of kernels, and the device it runs on."""
    if request.param == "torch":
        yield TorchKernels(), torch.device("cpu")
        return
    from deepclarity.models.gpu.cupy_kernels import CupyKernels

    device = torch.device("cuda:0")
    yield CupyKernels(device), device


def random_planes(dtype: type, shape: tuple[int, ...] = (3, 40, 61)) -> Planes:
    top = 256 if dtype is np.uint8 else 1024
    return np.random.default_rng(7).integers(0, top, shape).astype(dtype)


def reference_means(planes: Planes, columns: BlockCells, rows: BlockCells) -> Planes:
    """Block means in float64, rounded half to even; half up where four samples are averaged."""
    x = np.minimum(np.maximum(columns.first[:, None] + np.arange(columns.count), 0), columns.last[:, None])
    y = np.minimum(np.maximum(rows.first[:, None] + np.arange(rows.count), 0), rows.last[:, None])
    values = planes[:, y][:, :, :, x].astype(np.int64).sum(axis=(2, 4))
    if columns.count == rows.count == 2:
        return ((values + 2) >> 2).astype(planes.dtype)
    return np.rint(values * np.float64(np.float32(1 / (columns.count * rows.count)))).astype(planes.dtype)


def reference_filter(values: NDArray[np.float64], across: AxisFilter, down: AxisFilter) -> NDArray[np.float64]:
    x = across.first[:, None] + np.arange(across.taps)
    y = down.first[:, None] + np.arange(down.taps)
    lines = (values[:, y] * down.weights[None, :, :, None]).sum(axis=2)
    filtered: NDArray[np.float64] = (lines[:, :, x] * across.weights[None, None]).sum(axis=3)
    return filtered


CELLS = {
    "2": (np.arange(0, 61, 2), 60, 2),
    "3 with a partial first block": (np.arange(-1, 60, 3), 60, 3),
    "fractional": (np.array([0, 4, 7, 11, 15, 18, 22, 26, 29, 33, 37, 40, 44, 48, 51, 55, 59]), None, 4),
}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("kind", list(CELLS))
def test_block_means_equal_the_reference_exactly(kernels: tuple[Kernels, torch.device], dtype: type, kind: str) -> None:
    first, last, count = CELLS[kind]
    ends = np.full(len(first), last) if last is not None else np.append(first[1:], 61) - 1
    columns = BlockCells(first.astype(np.int32), ends.astype(np.int32), count)
    rows = BlockCells(np.arange(0, 40, count, dtype=np.int32), np.full(-(-40 // count), 39, np.int32), count)
    planes = random_planes(dtype)
    implementation, device = kernels
    found = implementation.block_means(torch.from_numpy(planes).to(device), columns, rows).cpu().numpy()
    assert found.dtype == dtype
    assert np.array_equal(found, reference_means(planes, columns, rows))


def cubic(size: int, length: int) -> AxisFilter:
    positions = (np.arange(size) + 0.5) * length / size - 0.5
    taps = np.floor(positions).astype(int)[:, None] + np.arange(-1, 3)
    weights = np.random.default_rng(size).normal(0.25, 0.3, (size, 4))
    return filter_of(taps, weights / weights.sum(axis=1, keepdims=True), length)


@pytest.mark.parametrize("source", ["uint8", "uint16", "network"])
def test_resample_equals_the_reference(kernels: tuple[Kernels, torch.device], source: str) -> None:
    implementation, device = kernels
    dtype, limit = (np.uint16, 1023) if source == "uint16" else (np.uint8, 255)
    planes = random_planes(dtype)
    values, given = planes.astype(np.float64), torch.from_numpy(planes).to(device)
    if source == "network":
        raw = np.random.default_rng(8).uniform(-0.1, 1.1, planes.shape).astype(np.float32)
        values = np.floor(np.clip(raw * np.float32(255) + np.float32(0.5), 0, 255)).astype(np.float64)
        given = torch.from_numpy(raw).to(device)
    across, down = cubic(90, 61), cubic(70, 40)
    out = torch.zeros((3, 70, 90), dtype=given.dtype if source != "network" else torch.uint8, device=device)
    implementation.resample(given, across, down, max_value=limit, limit=limit, out=out)
    exact = reference_filter(values, across, down)
    error = np.abs(out.cpu().numpy() - np.clip(exact, 0, limit))
    assert error.max() <= 0.501  # rounding, and float32


def test_resample_by_a_copy_filter_changes_nothing(kernels: tuple[Kernels, torch.device]) -> None:
    implementation, device = kernels
    planes = random_planes(np.uint8)
    copies = [filter_of(np.arange(length)[:, None], np.ones((length, 1)), length) for length in (61, 40)]
    out = torch.zeros((3, 40, 61), dtype=torch.uint8, device=device)
    implementation.resample(torch.from_numpy(planes).to(device), *copies, max_value=255, limit=255, out=out)
    assert np.array_equal(out.cpu().numpy(), planes)


def test_blend_keeps_the_base_bit_for_bit_where_the_map_is_zero(kernels: tuple[Kernels, torch.device]) -> None:
    implementation, device = kernels
    planes, base = random_planes(np.uint8), random_planes(np.uint8)[::-1].copy()
    alpha = np.zeros((3, 10, 16), np.float32)
    alpha[:, :, 8:] = 1
    copies = [filter_of(np.arange(length)[:, None], np.ones((length, 1)), length) for length in (61, 40)]
    out = torch.zeros((3, 40, 61), dtype=torch.uint8, device=device)
    blend = Blend(torch.from_numpy(alpha).to(device), torch.from_numpy(base).to(device))
    implementation.resample(
        torch.from_numpy(planes).to(device), *copies, max_value=255, limit=255, out=out, blend=blend
    )
    found = out.cpu().numpy()
    position = (np.arange(61) + 0.5) * 16 / 61 - 0.5
    share = np.clip(position - 7, 0, 1)
    assert np.array_equal(found[:, :, share == 0], base[:, :, share == 0])
    assert np.array_equal(found[:, :, share == 1], planes[:, :, share == 1])
    between = (share > 0) & (share < 1)
    mixed = base + share * (planes.astype(float) - base)
    assert between.any()
    assert np.abs(found - mixed)[:, :, between].max() <= 0.51


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_output_that_is_not_finite_clears_the_flag(kernels: tuple[Kernels, torch.device], value: float) -> None:
    implementation, device = kernels
    copies = [filter_of(np.arange(length)[:, None], np.ones((length, 1)), length) for length in (61, 40)]
    out = torch.zeros((1, 40, 61), dtype=torch.uint8, device=device)
    raw = torch.rand((1, 40, 61), device=device)
    finite = torch.ones(1, dtype=torch.int32, device=device)
    implementation.resample(raw, *copies, max_value=255, limit=255, out=out, finite=finite)
    assert int(finite) == 1
    raw[0, 20, 30] = value
    implementation.resample(raw, *copies, max_value=255, limit=255, out=out, finite=finite)
    assert int(finite) == 0


def test_filter_repeats_the_edge() -> None:
    found = filter_of(np.array([[-2, -1, 0, 1], [3, 4, 5, 6]]), np.full((2, 4), 0.25), 5)
    line = np.arange(1, 6)
    values = [float((found.weights[i] * line[found.first[i] :][: found.taps]).sum()) for i in range(2)]
    assert values == [1.25, 4.75]
