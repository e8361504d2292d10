"""Kernels of the repair in CUDA C, compiled by CuPy: one pass over memory each, on torch's own streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import cupy
import numpy as np
import torch
from torch import Tensor

from .filters import AxisFilter, BlockCells
from .kernels import Blend

_BLOCK = (32, 8, 1)

_SOURCE = r"""
typedef unsigned char uint8;
typedef unsigned short uint16;

// One thread per block: the samples clip(first + i, 0, last), i < count, along both axes. `stride` and `shift` read
// interleaved (NV12) and left-aligned (P010) samples. `squares`, if given, receives the sums of squares.
template <typename Sample>
__global__ void block_means(
    const Sample* source, long long picture, int row, int stride, int shift,
    const int* first_x, const int* last_x, int count_x, const int* first_y, const int* last_y, int count_y,
    int columns, int rows, Sample* means, unsigned long long* squares)
{
    int column = blockIdx.x * blockDim.x + threadIdx.x, line = blockIdx.y * blockDim.y + threadIdx.y;
    if (column >= columns || line >= rows) return;
    const Sample* plane = source + blockIdx.z * picture;
    unsigned int sum = 0;
    unsigned long long square = 0;
    for (int i = 0; i < count_y; ++i) {
        const Sample* samples = plane + (long long)min(max(first_y[line] + i, 0), last_y[line]) * row;
        for (int k = 0; k < count_x; ++k) {
            unsigned int value = samples[min(max(first_x[column] + k, 0), last_x[column]) * stride] >> shift;
            sum += value;
            square += (unsigned long long)value * value;
        }
    }
    long long at = ((long long)blockIdx.z * rows + line) * columns + column;
    int area = count_x * count_y;
    bool quad = count_x == 2 && count_y == 2;  // OpenCV rounds these half up, all others half to even
    means[at] = quad ? (sum + 2) >> 2 : __float2uint_rn(__fmul_rn((float)sum, 1.0f / area));
    if (squares) squares[at] = square;
}

__device__ inline float level(float value, int max_value, int* finite)
{
    if (finite && !isfinite(value)) *finite = 0;
    return floorf(fminf(fmaxf(__fadd_rn(__fmul_rn(value, (float)max_value), 0.5f), 0.0f), (float)max_value));
}
__device__ inline float level(uint8 value, int, int*) { return value; }
__device__ inline float level(uint16 value, int, int*) { return value; }

__device__ inline float interpolated(const float* map, int columns, int rows, float x, float y)
{
    x = fmaxf(x, 0.0f); y = fmaxf(y, 0.0f);
    int left = min((int)x, columns - 1), top = min((int)y, rows - 1);
    int right = min(left + 1, columns - 1), bottom = min(top + 1, rows - 1);
    float fx = x - left, fy = y - top;
    float upper = map[top * columns + left] * (1 - fx) + map[top * columns + right] * fx;
    float lower = map[bottom * columns + left] * (1 - fx) + map[bottom * columns + right] * fx;
    return upper * (1 - fy) + lower * fy;
}

// One thread per sample of the result.
template <typename Source, typename Sample>
__global__ void resample(
    const Source* source, long long source_picture, int source_row,
    const int* first_x, const float* weights_x, int taps_x, const int* first_y, const float* weights_y, int taps_y,
    int columns, int rows, int max_value, int limit, Sample* out, long long out_picture, int out_row,
    const float* map, int map_columns, int map_rows, const Sample* base, long long base_picture, int base_row,
    int* finite)
{
    int column = blockIdx.x * blockDim.x + threadIdx.x, line = blockIdx.y * blockDim.y + threadIdx.y;
    if (column >= columns || line >= rows) return;
    const Source* plane = source + blockIdx.z * source_picture + first_x[column];
    const float* across = weights_x + column * taps_x;
    float total = 0.0f;
    for (int i = 0; i < taps_y; ++i) {
        const Source* samples = plane + (long long)(first_y[line] + i) * source_row;
        float part = 0.0f;
        for (int k = 0; k < taps_x; ++k) part += across[k] * level(samples[k], max_value, finite);
        total += weights_y[line * taps_y + i] * part;
    }
    int value = min(max((int)floorf(total + 0.5f), 0), limit);
    if (map) {
        int before = base[blockIdx.z * base_picture + (long long)line * base_row + column];
        float x = (column + 0.5f) * map_columns / columns - 0.5f, y = (line + 0.5f) * map_rows / rows - 0.5f;
        const float* part = map + (long long)blockIdx.z * map_columns * map_rows;
        float alpha = interpolated(part, map_columns, map_rows, x, y);
        if (alpha <= 0.0f) value = before;
        else if (alpha < 1.0f) value = (int)floorf(before + alpha * (value - before) + 0.5f);
    }
    out[blockIdx.z * out_picture + (long long)line * out_row + column] = value;
}
"""

_SAMPLES = {torch.uint8: "uint8", torch.uint16: "uint16", torch.float32: "float"}


@dataclass(frozen=True, slots=True)
class _StreamHandle:
    """A CUDA stream by CUDA's stream protocol."""

    handle: int

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.handle


class CupyKernels:
    """See `Kernels`. Launches go to torch's current stream; memory is shared through DLPack."""

    name = "cupy"

    def __init__(self, device: torch.device) -> None:
        """Compile everything; raises whatever CuPy raises where it cannot be used."""
        self._device = device
        samples = ("uint8", "uint16")
        names = [f"block_means<{s}>" for s in samples]
        names += [f"resample<{source}, {s}>" for s in samples for source in (s, "float")]
        with cupy.cuda.Device(device.index or 0):
            module = cupy.RawModule(code=_SOURCE, options=("--std=c++17",), name_expressions=names)
            self._functions = {name: module.get_function(name) for name in names}
        self._streams: dict[int, Any] = {}
        self._tables: WeakKeyDictionary[BlockCells | AxisFilter, tuple[Any, Any]] = WeakKeyDictionary()

    def block_means(self, planes: Tensor, columns: BlockCells, rows: BlockCells) -> Tensor:
        """Average each block to one sample, rounded: (n, rows, columns), same dtype."""
        if columns.count == rows.count == 1:
            return planes
        shape = (planes.shape[0], len(rows.first), len(columns.first))
        means = torch.empty(shape, dtype=planes.dtype, device=planes.device)
        with self._stream():
            across, down = self._table(columns, columns.last), self._table(rows, rows.last)
            self._launch(
                f"block_means<{_SAMPLES[planes.dtype]}>", shape,
                _shared(planes), planes.stride(0), planes.stride(1), planes.stride(2), 0,
                *across, columns.count, *down, rows.count, shape[2], shape[1], _shared(means), None,
            )  # fmt: skip
        return means

    def resample(
        self,
        source: Tensor,
        across: AxisFilter,
        down: AxisFilter,
        *,
        max_value: int,
        limit: int,
        out: Tensor,
        blend: Blend | None = None,
        finite: Tensor | None = None,
    ) -> None:
        """Filter `source` along both axes into `out`; see `Kernels.resample`."""
        _, rows, columns = out.shape
        with self._stream():
            mask: tuple[Any, ...] = (None, 0, 0, None, 0, 0)
            if blend is not None:
                base = blend.base
                sizes = blend.map.shape[2], blend.map.shape[1]
                mask = (_shared(blend.map.contiguous()), *sizes, _shared(base), base.stride(0), base.stride(1))
            self._launch(
                f"resample<{_SAMPLES[source.dtype]}, {_SAMPLES[out.dtype]}>", tuple(out.shape),
                _shared(source), source.stride(0), source.stride(1),
                *self._table(across, across.weights), across.taps, *self._table(down, down.weights), down.taps,
                columns, rows, max_value, limit, _shared(out), out.stride(0), out.stride(1), *mask,
                None if finite is None else _shared(finite),
            )  # fmt: skip

    def _stream(self) -> Any:
        """Torch's current stream as a CuPy stream."""
        handle = torch.cuda.current_stream(self._device).cuda_stream
        found = self._streams.get(handle)
        if found is None:
            if hasattr(cupy.cuda.Stream, "from_external"):
                found = cupy.cuda.Stream.from_external(_StreamHandle(handle))
            else:  # CuPy before version 14
                found = cupy.cuda.ExternalStream(handle, self._device.index or 0)
            self._streams[handle] = found
        return found

    def _table(self, key: BlockCells | AxisFilter, second: Any) -> tuple[Any, Any]:
        """Both tables of `key` on the device, uploaded when first used."""
        found = self._tables.get(key)
        if found is None:
            # In torch's memory: one allocator for all, which returns what it no longer needs.
            tables = (torch.from_numpy(np.ascontiguousarray(each)).to(self._device) for each in (key.first, second))
            first, other = (_shared(table) for table in tables)
            found = self._tables[key] = first, other
        return found

    def _launch(self, name: str, shape: tuple[int, ...], *arguments: Any) -> None:
        pictures, rows, columns = shape
        grid = (-(-columns // _BLOCK[0]), -(-rows // _BLOCK[1]), pictures)
        self._functions[name](grid, _BLOCK, tuple(_argument(value) for value in arguments))


def _shared(tensor: Tensor) -> Any:
    """The same memory as a CuPy array; 16-bit samples travel as int16, which DLPack knows everywhere."""
    plain = tensor.view(torch.int16) if tensor.dtype == torch.uint16 else tensor
    return cupy.from_dlpack(plain)


def _argument(value: Any) -> Any:
    """A kernel argument: None becomes a null pointer; CuPy passes integers as 64 bits, which serve as 32, too."""
    return np.uintp(0) if value is None else value
