"""The CUDA device of an executor: its three streams, events between them, and pinned host memory.

The same class represents the CPU, where every queue runs at once and in order: what is built on it can be tested,
faults included, on a machine without a GPU.
"""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from enum import Enum, auto

import torch
from torch import Tensor


class Queue(Enum):
    """The streams that work side by side."""

    UPLOAD = auto()
    COMPUTE = auto()
    DOWNLOAD = auto()


class Event:
    """A point in a queue's work."""

    def __init__(self, event: torch.cuda.Event | None) -> None:
        self.cuda = event

    @property
    def done(self) -> bool:
        """Whether the work before it is done."""
        return self.cuda is None or bool(self.cuda.query())  # type: ignore[no-untyped-call]

    def wait(self) -> None:
        """Block until the work before it is done."""
        if self.cuda is not None:
            self.cuda.synchronize()


class Device:
    """`cuda:N`, or `cpu` in its place for tests."""

    def __init__(self, name: str) -> None:
        self.torch_device = torch.device(name)
        self.is_cuda = self.torch_device.type == "cuda"
        self._streams: dict[Queue, torch.cuda.Stream] = {}
        if self.is_cuda:
            self._streams = {queue: torch.cuda.Stream(self.torch_device) for queue in Queue}  # type: ignore[no-untyped-call]
            for stream in self._streams.values():  # the weights were uploaded on the default stream
                stream.wait_stream(torch.cuda.current_stream(self.torch_device))

    def on(self, queue: Queue) -> AbstractContextManager[object]:
        """Enqueue what is called inside the block on `queue`."""
        return torch.cuda.stream(self._streams[queue]) if self.is_cuda else contextlib.nullcontext()

    def mark(self, queue: Queue) -> Event:
        """An event after the work enqueued on `queue` so far."""
        if not self.is_cuda:
            return Event(None)
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(self._streams[queue])
        return Event(event)

    def wait(self, queue: Queue, event: Event) -> None:
        """Let later work of `queue` start only after `event`; does not block the caller."""
        if event.cuda is not None:
            self._streams[queue].wait_event(event.cuda)

    def hand_to(self, tensor: Tensor, queue: Queue) -> None:
        """Keep the memory of `tensor`, allocated on another queue, from being reused before `queue` is done with it."""
        if self.is_cuda:
            tensor.record_stream(self._streams[queue])

    def host_buffer(self, shape: tuple[int, ...]) -> Tensor:
        """Bytes in host memory that the GPU can reach, pinned and cached by torch: freed by dropping the tensor."""
        return torch.empty(shape, dtype=torch.uint8, pin_memory=self.is_cuda)

    def free_unused(self) -> None:
        """Return cached memory to the device, after running out of it."""
        if self.is_cuda:
            torch.cuda.empty_cache()

    def synchronize(self) -> None:
        """Block until all queues are empty."""
        for stream in self._streams.values():
            stream.synchronize()
