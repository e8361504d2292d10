"""The repair's kernels in torch: the reference, and the fallback where CuPy cannot be used."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .filters import AxisFilter, BlockCells
from .kernels import Blend


class TorchKernels:
    """The kernels in torch, on any device."""

    name = "torch"

    def block_means(self, planes: Tensor, columns: BlockCells, rows: BlockCells) -> Tensor:
        """Average each block to one sample, rounded: (n, rows, columns), same dtype."""
        area = columns.count * rows.count
        if area == 1:
            return planes
        sums = _block_sums(_block_sums(planes.to(torch.int32), rows, dim=1), columns, dim=2)
        if columns.count == rows.count == 2:
            return ((sums + 2) >> 2).to(planes.dtype)
        return (sums * np.float32(1 / area).item()).round_().to(planes.dtype)

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
        if source.dtype == torch.float32:
            if finite is not None and not bool(source.isfinite().all()):
                finite.zero_()
            source = (source * max_value + 0.5).clamp_(0, max_value).floor_()
        levels = _filtered(_filtered(source.float(), down, dim=1), across, dim=2)
        levels = levels.add_(0.5).floor_().clamp_(0, limit)
        if blend is not None:
            levels = _blended(levels, blend)
        out.copy_(levels.to(out.dtype))


def _block_sums(values: Tensor, cells: BlockCells, dim: int) -> Tensor:
    total: Tensor | None = None
    for offset in range(cells.count):
        index = np.minimum(np.maximum(cells.first + offset, 0), cells.last)
        part = values.index_select(dim, torch.from_numpy(index).to(values.device))
        total = part if total is None else total.add_(part)
    assert total is not None
    return total


def _filtered(values: Tensor, taps: AxisFilter, dim: int) -> Tensor:
    if taps.is_copy and values.shape[dim] == len(taps.first):
        return values
    total: Tensor | None = None
    shape = [1, 1, 1]
    shape[dim] = -1
    for k in range(taps.taps):
        index = torch.from_numpy(taps.first + np.int32(k)).to(values.device)
        weight = torch.from_numpy(np.ascontiguousarray(taps.weights[:, k])).to(values.device).view(shape)
        part = values.index_select(dim, index).mul_(weight)
        total = part if total is None else total.add_(part)
    assert total is not None
    return total


def _blended(levels: Tensor, blend: Blend) -> Tensor:
    size = (levels.shape[1], levels.shape[2])
    alpha = functional.interpolate(blend.map[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
    base = blend.base.float()
    mixed = (base + alpha * (levels - base)).add_(0.5).floor_()
    return torch.where(alpha <= 0, base, torch.where(alpha >= 1, levels, mixed))
