"""The executor contract: repairs are submitted in order and their results taken in order, a bounded number in flight.

On the CPU a result is there at once; on a GPU it is an event on a stream, and several frames are under way together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from deepclarity.errors import DeviceError
from deepclarity.models.enhancer import Enhancer
from deepclarity.models.verdict import Blocks
from deepclarity.stream.frame import Planes

from .restore import restore


@dataclass(frozen=True, slots=True)
class RepairRequest:
    """One frame to repair."""

    planes: Planes
    """Y'CbCr, uint8 or uint16; must not change until the result is there."""
    blocks: Blocks | None
    """The lattice to average first, in luma samples; None if the picture is merely small."""
    size: tuple[int, int]
    """(width, height) of the result's luma."""
    max_value: int = 255
    subsampling: tuple[int, int] = (2, 2)
    """Luma samples per chroma sample, horizontally and vertically."""


class Pending(Protocol):
    """A repair under way."""

    def result(self) -> Planes:
        """Wait for the repaired planes; raises DeviceError or MemoryError if this repair failed."""
        ...


class Executor(Protocol):
    """Carries out repairs. To be used from one thread at a time."""

    @property
    def name(self) -> str:
        """The tier: `turbo`, `lanczos`, …"""
        ...

    @property
    def backend(self) -> str:
        """Description of the back end for people: `openvino bf16`, `torch cuda fp16`, …"""
        ...

    @property
    def in_flight(self) -> int:
        """Requests to submit before the first result is taken, for full speed; 0: take each at once."""
        ...

    def submit(self, request: RepairRequest) -> Pending:
        """Start a repair, or queue it for the next batch; failures are raised by the pending result."""
        ...

    def flush(self) -> None:
        """Start what is queued: no more requests are coming soon."""
        ...

    def close(self) -> None:
        """Release buffers and device memory."""
        ...


class CpuExecutor:
    """Repairs each frame within `submit`, with OpenCV and an enhancer."""

    in_flight = 0

    def __init__(self, enhancer: Enhancer) -> None:
        self._enhancer = enhancer

    @property
    def name(self) -> str:
        """The tier."""
        return self._enhancer.name

    @property
    def backend(self) -> str:
        """Description of the back end for people."""
        return self._enhancer.backend

    def submit(self, request: RepairRequest) -> Pending:
        """Repair now; a failure is raised by the result."""
        try:
            planes = restore(
                request.planes,
                enhancer=self._enhancer,
                blocks=request.blocks,
                size=request.size,
                max_value=request.max_value,
                subsampling=request.subsampling,
            )
        except (DeviceError, MemoryError) as error:
            return Failed(error)
        return Finished(planes)

    def flush(self) -> None:
        """Nothing is ever queued."""

    def close(self) -> None:
        """Close the enhancer."""
        self._enhancer.close()


@dataclass(frozen=True, slots=True)
class Finished:
    """A repair that is done."""

    planes: Planes

    def result(self) -> Planes:
        """The repaired planes."""
        return self.planes


@dataclass(frozen=True, slots=True)
class Failed:
    """A repair that failed."""

    error: Exception

    def result(self) -> Planes:
        """Raise the error."""
        raise self.error
