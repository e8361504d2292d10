"""The CUDA executor: frames of one shape in batches, several batches in flight on three streams."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from deepclarity.errors import DeviceError
from deepclarity.models.backends.checks import first_line
from deepclarity.models.backends.torch import TorchGenerator
from deepclarity.models.gpu.device import Device
from deepclarity.models.gpu.kernels import Kernels
from deepclarity.models.gpu.load_kernels import load_kernels
from deepclarity.models.gpu.network import BatchedNetwork
from deepclarity.pipelines.executor import Pending, RepairRequest
from deepclarity.stream.frame import Planes

from .batch import Batch, BatchForm, BatchRunner, Upload, batch_form, form_key

_log = logging.getLogger(__name__)

_BATCHES_IN_FLIGHT = 3
"""One is uploaded, one computed, one downloaded."""
_MAX_FORMS = 16


class DeviceLostError(DeviceError):
    """The device stopped working in the middle: what was in flight is lost, and must be submitted to another."""


class GpuExecutor:
    """Repairs frames on a GPU. To be used from one thread."""

    def __init__(
        self, generator: TorchGenerator, *, max_batch: int = 8, device: Device | None = None,
        kernels: Kernels | None = None,
    ) -> None:  # fmt: skip
        """`max_batch` 1: no frame waits for another, as live streams want it."""
        self.name = generator.name
        self.max_batch = max_batch
        """Frames per batch; halved for good whenever the device runs out of memory."""
        self.in_flight = _BATCHES_IN_FLIGHT * max_batch if max_batch > 1 else 0
        self._generator = generator
        self._scales = generator.scales
        self._device = device or Device(str(generator.device))
        self._network = BatchedNetwork(generator, receptive_radius_px=generator.receptive_radius_px)
        self._kernels = kernels or load_kernels(self._device.torch_device)
        self._runner = BatchRunner(self._device, self._kernels, self._network)
        self._forms: OrderedDict[tuple[object, ...], BatchForm] = OrderedDict()
        self._queued: list[_Job] = []
        self._upload: Upload | None = None

    @property
    def backend(self) -> str:
        """Description of the back end for people, such as `torch cuda fp16, cupy kernels`."""
        return f"{self._generator.backend}, {self._kernels.name} kernels"

    def submit(self, request: RepairRequest) -> Pending:
        """Queue and upload a frame; a batch starts when it is full, or when a frame of another shape arrives."""
        job = _Job(self, request)
        if self._queued and self._queued[0].key != job.key:
            self.flush()
        self._queued.append(job)
        self._upload_queued(job)
        if len(self._queued) >= self.max_batch:
            self.flush()
        return job

    def _upload_queued(self, job: _Job) -> None:
        """Upload a frame while its batch is still filling; without memory for that, the batch does it at its start."""
        try:
            with _translated(self._device):
                if len(self._queued) == 1:
                    self._upload = Upload(self._device, self._form(job), self.max_batch)
                if self._upload is not None:
                    self._upload.add(job.request)
        except (torch.cuda.OutOfMemoryError, MemoryError):
            self._upload = None

    def flush(self) -> None:
        """Start what is queued."""
        jobs, self._queued = self._queued, []
        upload, self._upload = self._upload, None
        if jobs:
            self._start(jobs, upload)

    def close(self) -> None:
        """Wait for what is in flight, then release memory and graphs."""
        self._queued.clear()
        self._upload = None
        self._device.synchronize()
        self._network.forget_graphs()
        self._forms.clear()
        self._generator.close()
        self._device.free_unused()

    def collect(self, job: _Job) -> Planes:
        """The result of a job, once it is there."""
        if job.batch is None and job.error is None:
            self.flush()
        if job.error is not None:
            raise job.error
        assert job.batch is not None
        with _translated(self._device):
            job.batch.done.wait()
        if not job.batch.is_finite and self._network.use_float32():
            self._start([job])
            return self.collect(job)
        return job.batch.planes(job.index)

    def _start(self, jobs: Sequence[_Job], upload: Upload | None = None) -> None:
        """Start one batch: in halves if memory is short, in tiles if even one picture is too large."""
        form = self._form(jobs[0])
        if self._started(jobs, form, upload):
            return
        if len(jobs) > 1:
            self.max_batch = min(self.max_batch, len(jobs) // 2)
            _log.warning("%s: out of memory; frames per batch: %d", self._device.torch_device, self.max_batch)
            middle = len(jobs) // 2
            self._start(jobs[:middle])
            self._start(jobs[middle:])
            return
        if not form.tiled:
            form.tiled = True
            _log.warning("%s: out of memory; the network runs in tiles", self._device.torch_device)
            if self._started(jobs, form):
                return
        jobs[0].error = DeviceError(f"out of memory on {self._device.torch_device}; free some, or use --device cpu")

    def _started(self, jobs: Sequence[_Job], form: BatchForm, upload: Upload | None = None) -> bool:
        """Try to start a batch; False if memory is short: everything in flight is finished and memory freed then."""
        try:
            with _translated(self._device):
                if upload is None:
                    upload = Upload(self._device, form, len(jobs))
                    for job in jobs:
                        upload.add(job.request)
                batch = self._runner.start(upload)
        except DeviceLostError:
            raise
        except DeviceError as error:  # not even the smallest tile fits
            for job in jobs:
                job.error = error
            return True
        except (torch.cuda.OutOfMemoryError, MemoryError):
            pass  # freed below: the exception's traceback keeps memory allocated
        else:
            for index, job in enumerate(jobs):
                job.batch, job.index = batch, index
            return True
        with _translated(self._device):
            self._device.synchronize()
            self._network.forget_graphs()
            self._device.free_unused()
        return False

    def _form(self, job: _Job) -> BatchForm:
        form = self._forms.get(job.key)
        if form is None:
            if len(self._forms) >= _MAX_FORMS:
                self._forms.popitem(last=False)
            form = self._forms[job.key] = batch_form(job.request, self._scales)
        self._forms.move_to_end(job.key)
        return form


class _Job:
    """A frame on its way through the device."""

    def __init__(self, executor: GpuExecutor, request: RepairRequest) -> None:
        self.request = request
        self.key = form_key(request)
        self.batch: Batch | None = None
        self.index = 0
        self.error: DeviceError | None = None
        self._executor = executor

    def result(self) -> Planes:
        """Wait for the repaired planes."""
        return self._executor.collect(self)


@contextmanager
def _translated(device: Device) -> Iterator[None]:
    """Turn a CUDA error, after which the device answers nothing any more, into DeviceLostError."""
    try:
        yield
    except (torch.cuda.OutOfMemoryError, MemoryError, DeviceError):
        raise
    except RuntimeError as error:
        raise DeviceLostError(f"{device.torch_device} failed ({first_line(error)})") from error
