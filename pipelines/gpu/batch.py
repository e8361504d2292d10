"""One batch on its way through the GPU: upload, block means, network, resampling, download."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepclarity.models.gpu.device import Device, Event, Queue
from deepclarity.models.gpu.kernels import Kernels
from deepclarity.models.gpu.network import BatchedNetwork
from deepclarity.models.verdict import Plane
from deepclarity.pipelines.executor import RepairRequest
from deepclarity.pipelines.repair_plan import plan_repair
from deepclarity.stream.frame import Planes

from .filters import PlaneTables, plane_tables

_ALIGNED = 256
"""Planes begin at multiples of this many bytes, for wide loads."""


@dataclass(frozen=True, slots=True)
class PlaneLayout:
    """Where one plane lies in a buffer of bytes."""

    shape: tuple[int, int]
    dtype: np.dtype[np.generic]
    offset: int

    @property
    def bytes(self) -> int:
        """Its size."""
        return self.shape[0] * self.shape[1] * self.dtype.itemsize

    def in_array(self, row: NDArray[np.uint8]) -> Plane:
        """The plane in one picture's bytes: (height, width), shared memory."""
        return row[self.offset : self.offset + self.bytes].view(self.dtype).reshape(self.shape)

    def in_tensor(self, buffer: Tensor) -> Tensor:
        """The planes of all pictures in a (n, bytes) tensor: (n, height, width), shared memory."""
        flat = buffer[:, self.offset : self.offset + self.bytes]
        samples = flat if self.dtype == np.uint8 else flat.view(torch.uint16)
        return samples.as_strided((len(buffer), *self.shape), (samples.stride(0), self.shape[1], 1))


def _layouts(shapes: Sequence[tuple[int, int]], dtype: np.dtype[np.generic]) -> tuple[tuple[PlaneLayout, ...], int]:
    """Layouts of planes one after the other, and the bytes of one picture in all."""
    layouts, offset = [], 0
    for shape in shapes:
        layouts.append(PlaneLayout(shape, dtype, offset))
        offset += -(-layouts[-1].bytes // _ALIGNED) * _ALIGNED
    return tuple(layouts), offset


@dataclass(slots=True)
class BatchForm:
    """What all frames of a batch have in common: shapes, tables and memory layout. Made once, used for many batches."""

    key: tuple[object, ...]
    max_value: int
    tables: tuple[PlaneTables, ...]
    inputs: tuple[PlaneLayout, ...]
    input_bytes: int
    outputs: tuple[PlaneLayout, ...]
    output_bytes: int
    """Of the planes; a flag of four bytes follows."""
    tiled: bool = False
    """Whether the network must run in tiles: the device's memory is too small for one complete picture."""


def form_key(request: RepairRequest) -> tuple[object, ...]:
    """Requests with equal keys can share a batch."""
    shapes = tuple(plane.shape for plane in request.planes)
    dtype = request.planes[0].dtype.char
    return shapes, dtype, request.blocks, request.size, request.max_value, request.subsampling


def batch_form(request: RepairRequest, scales: tuple[int, ...]) -> BatchForm:
    """The form of a request's batch, for a network with these factors."""
    shapes = [(plane.shape[0], plane.shape[1]) for plane in request.planes]
    plan = plan_repair(shapes, scales=scales, blocks=request.blocks, size=request.size, subsampling=request.subsampling)
    tables = tuple(plane_tables(part, shape) for part, shape in zip(plan.planes, shapes, strict=True))
    dtype = request.planes[0].dtype
    inputs, input_bytes = _layouts(shapes, dtype)
    outputs, output_bytes = _layouts([(part.size[1], part.size[0]) for part in plan.planes], dtype)
    return BatchForm(form_key(request), request.max_value, tables, inputs, input_bytes, outputs, output_bytes)


@dataclass(slots=True)
class Batch:
    """A batch under way."""

    form: BatchForm
    done: Event
    host: Tensor
    """(n, bytes) in host memory, valid once `done`."""
    rows: NDArray[np.uint8] = field(init=False)

    def __post_init__(self) -> None:
        self.rows = self.host.numpy()

    @property
    def is_finite(self) -> bool:
        """Whether the network's output held neither NaN nor infinity; only once `done`."""
        flag = self.rows[0, self.form.output_bytes : self.form.output_bytes + 4]
        return bool(flag.view(np.int32)[0])

    def planes(self, index: int) -> Planes:
        """The repaired planes of one frame, in the batch's own memory; only once `done`."""
        luma, blue, red = (layout.in_array(self.rows[index]) for layout in self.form.outputs)
        return luma, blue, red


class Upload:
    """Frames of one form on their way to the device: each is copied and uploaded as soon as it is added."""

    def __init__(self, device: Device, form: BatchForm, count: int) -> None:
        """`count`: frames that fit. Raises `torch.cuda.OutOfMemoryError` if the device's memory is too small."""
        self.requests: list[RepairRequest] = []
        self.form = form
        self._device = device
        self._staging = device.host_buffer((count, form.input_bytes))
        self._rows: NDArray[np.uint8] = self._staging.numpy()
        with device.on(Queue.UPLOAD):
            self._source = torch.empty((count, form.input_bytes), dtype=torch.uint8, device=device.torch_device)

    def add(self, request: RepairRequest) -> None:
        """Copy a frame's planes to pinned memory, and upload them."""
        index = len(self.requests)
        self.requests.append(request)
        _copy_planes(request.planes, [layout.in_array(self._rows[index]) for layout in self.form.inputs])
        with self._device.on(Queue.UPLOAD):
            self._source[index].copy_(self._staging[index], non_blocking=True)

    def source(self) -> Tensor:
        """(n, bytes) on the device, for use on the compute queue."""
        self._device.wait(Queue.COMPUTE, self._device.mark(Queue.UPLOAD))
        self._device.hand_to(self._source, Queue.COMPUTE)
        return self._source[: len(self.requests)]


_COPY_IN_PARALLEL_BYTES = 1_000_000
_copiers = ThreadPoolExecutor(3, thread_name_prefix="copy")
"""Copies to pinned memory: one core copies a Full HD frame in 0.4 ms, which is longer than `turbo` takes on a GPU."""


def _copy_planes(sources: Planes, targets: Sequence[Plane]) -> None:
    if sources[0].nbytes < _COPY_IN_PARALLEL_BYTES:
        for source, target in zip(sources, targets, strict=True):
            np.copyto(target, source)
        return
    middle = len(sources[0]) // 2
    pairs = [(targets[0][:middle], sources[0][:middle]), (targets[0][middle:], sources[0][middle:])]
    started = [_copiers.submit(np.copyto, *pair) for pair in pairs]
    for source, target in zip(sources[1:], targets[1:], strict=True):
        np.copyto(target, source)
    for copy in started:
        copy.result()


class BatchRunner:
    """Enqueues batches on a device's three queues. Never blocks on the device."""

    def __init__(self, device: Device, kernels: Kernels, network: BatchedNetwork) -> None:
        self._device = device
        self._kernels = kernels
        self._network = network

    @torch.no_grad()
    def start(self, upload: Upload) -> Batch:
        """Enqueue one batch; raises `torch.cuda.OutOfMemoryError` if the device's memory is too small for it."""
        device = self._device
        with device.on(Queue.COMPUTE):
            result = self._computed(upload.source(), upload.form)
        device.wait(Queue.DOWNLOAD, device.mark(Queue.COMPUTE))
        device.hand_to(result, Queue.DOWNLOAD)
        host = device.host_buffer(tuple(result.shape))
        with device.on(Queue.DOWNLOAD):
            host.copy_(result, non_blocking=True)
        return Batch(upload.form, device.mark(Queue.DOWNLOAD), host)

    def _computed(self, source: Tensor, form: BatchForm) -> Tensor:
        """(n, bytes): the repaired planes of all pictures, and the flag that `Batch.is_finite` reads."""
        result = torch.empty((len(source), form.output_bytes + 4), dtype=torch.uint8, device=source.device)
        finite = result[0, form.output_bytes :].view(torch.int32)
        finite.fill_(1)
        resample = functools.partial(self._kernels.resample, max_value=form.max_value, finite=finite)
        for tables, before, after in zip(form.tables, form.inputs, form.outputs, strict=True):
            values = self._kernels.block_means(before.in_tensor(source), tables.columns, tables.rows)
            sample = values.dtype
            if tables.scale is not None:
                enlarge = self._tiled if form.tiled else self._network
                values = enlarge(values, scale=tables.scale, max_value=form.max_value)
            *inner, last = tables.passes
            for across, down in inner:
                shape = (len(source), len(down.first), len(across.first))
                target = torch.empty(shape, dtype=sample, device=source.device)
                limit = 255 if sample == torch.uint8 else 65_535  # OpenCV lets 10 bits overshoot between two steps
                resample(values, across, down, limit=limit, out=target)
                values = target
            resample(values, *last, limit=form.max_value, out=after.in_tensor(result))
        return result

    def _tiled(self, luma: Tensor, *, scale: int, max_value: int) -> Tensor:
        pictures = [self._network.tiled(luma[i : i + 1], scale=scale, max_value=max_value) for i in range(len(luma))]
        return torch.cat(pictures)
