"""Batched network on a GPU: float16 where it is safe, captured in a CUDA graph for every shape that comes again."""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from deepclarity.errors import DeviceError
from deepclarity.models.backends.torch_network import GeneratorNetwork

_log = logging.getLogger(__name__)

_CAPTURE_AT = 3
"""A shape is captured when it comes this often: capture costs as much as some ten batches."""
_MAX_GRAPHS = 96
"""The graph that was used longest ago is dropped. All share one pool, in which new captures leave gaps: with fewer
graphs than shapes and batch sizes, memory swings by gigabytes."""
_MIN_TILE_PX = 64

_Key = tuple[tuple[int, ...], torch.dtype, int, int]


class Networks(Protocol):
    """Where the float16 and float32 versions of a network come from: a `TorchGenerator`."""

    name: str

    @property
    def network(self) -> GeneratorNetwork:
        """The network in use, on the device."""
        ...

    def use_float32(self) -> bool:
        """Switch to float32 for good; returns whether anything changed."""
        ...


@dataclass(slots=True)
class _Captured:
    graph: torch.cuda.CUDAGraph
    source: Tensor
    result: Tensor


class BatchedNetwork:
    """Enlarges batches of luma planes. To be called on one CUDA stream by one thread."""

    def __init__(self, networks: Networks, *, receptive_radius_px: int) -> None:
        self._networks = networks
        self._radius = receptive_radius_px
        self._uses: OrderedDict[_Key, int] = OrderedDict()
        self._graphs: OrderedDict[_Key, _Captured] = OrderedDict()
        self._pool: Any = None

    def __call__(self, luma: Tensor, *, scale: int, max_value: int) -> Tensor:
        """Enlarge (n, height, width), uint8 or uint16 up to `max_value`, to (n, height * scale, width * scale).

        The result is float32 in 0..1, not limited, and valid until the next call. Raises
        `torch.cuda.OutOfMemoryError` if the device's memory is too small for the batch.
        """
        if luma.device.type != "cuda":
            return self._run(luma, scale, max_value)
        key = (tuple(luma.shape), luma.dtype, scale, max_value)
        captured = self._captured(key, luma)
        if captured is None:
            return self._run(luma, scale, max_value)
        captured.source.copy_(luma)
        captured.graph.replay()
        return captured.result

    def tiled(self, luma: Tensor, *, scale: int, max_value: int) -> Tensor:
        """The same for one picture (1, height, width) in as many tiles as memory demands; DeviceError if none helps."""
        try:
            return self._run(luma, scale, max_value)
        except torch.cuda.OutOfMemoryError as error:
            height, width = luma.shape[-2:]
            if max(height, width) < max(_MIN_TILE_PX, 2 * self._radius + 2):
                raise DeviceError(
                    f"out of device memory even for {width}x{height} luma; free some, or use --device cpu"
                ) from error
        if luma.device.type == "cuda":
            torch.cuda.empty_cache()  # outside the handler: the exception's traceback keeps memory allocated
        dim = 2 if width > height else 1
        middle, length = luma.shape[dim] // 4 * 2, luma.shape[dim]  # even, so that both halves have the same 2×2 cells
        first = self.tiled(luma.narrow(dim, 0, middle + self._radius), scale=scale, max_value=max_value)
        rest = luma.narrow(dim, middle - self._radius, length - middle + self._radius)
        second = self.tiled(rest, scale=scale, max_value=max_value)
        kept = second.narrow(dim, self._radius * scale, (length - middle) * scale)
        return torch.cat([first.narrow(dim, 0, middle * scale), kept], dim)

    def use_float32(self) -> bool:
        """Switch to float32 for good, after an overflow; returns whether anything changed."""
        self.forget_graphs()
        return self._networks.use_float32()

    def forget_graphs(self) -> None:
        """Release all graphs and their memory."""
        self._graphs.clear()
        self._uses.clear()

    def _run(self, luma: Tensor, scale: int, max_value: int) -> Tensor:
        large: Tensor = self._networks.network((luma.float() / max_value)[:, None], scale)
        return large[:, 0]

    def _captured(self, key: _Key, luma: Tensor) -> _Captured | None:
        """The graph of a shape, once it has come often enough."""
        found = self._graphs.get(key)
        if found is not None:
            self._graphs.move_to_end(key)
            return found
        self._uses[key] = self._uses.get(key, 0) + 1
        self._uses.move_to_end(key)
        if len(self._uses) > 4 * _MAX_GRAPHS:
            self._uses.popitem(last=False)
        if self._uses[key] < _CAPTURE_AT:
            return None
        if len(self._graphs) >= _MAX_GRAPHS:
            dropped, _ = self._graphs.popitem(last=False)
            self._uses.pop(dropped, None)
        self._graphs[key] = self._capture(luma, scale=key[2], max_value=key[3])
        return self._graphs[key]

    def _capture(self, luma: Tensor, *, scale: int, max_value: int) -> _Captured:
        source = luma.clone()
        stream = torch.cuda.current_stream(luma.device)
        graph = torch.cuda.CUDAGraph()
        # Other threads may go on using the device meanwhile, for example in a second pipeline.
        # All graphs share their memory: they run one after another on one stream, and a result is used before the next.
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        with torch.cuda.graph(graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"):
            result = self._run(source, scale, max_value)
        return _Captured(graph, source, result)
