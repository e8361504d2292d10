"""Loading of executors by tier and device: on a GPU with streams and batches, else on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Collection

from deepclarity.models.artifacts.reducer import ArtifactReducer, load_reducer
from deepclarity.models.colour import YCbCr
from deepclarity.models.detectors import load_detector
from deepclarity.models.enhancer import Enhancer, PlanesEnhancer
from deepclarity.models.load import load_enhancer
from deepclarity.models.verdict import Detector, Kind
from deepclarity.stream.info import Colour

from .executor import CpuExecutor, Executor

_UNTAGGED = (0, 2, 3)
"""H.273 matrix coefficients: identity (the pictures were RGB), unspecified, reserved."""
_BT709, _BT601 = 1, 6


def load_executor(
    name: str, *, device: str = "auto", latency: bool = False, colour: Callable[[], YCbCr] = YCbCr
) -> Executor:
    """Load the tier `name`, or the model in the file of that path, and whatever runs it best on `device`.

    `device`: `auto`, `cpu`, `cuda` or `cuda:N`. `latency`: for live streams, no frame waits for others to fill a
    batch. `colour`: says how the planes of the next frame encode colour, for networks that compute in R'G'B'. With
    `auto`, a GPU that fails for good is replaced by the CPU; a GPU that was asked for by name raises DeviceError
    instead. Raises UsageError for an unknown name, DeviceError if the device cannot be used.
    """
    enhancer = load_enhancer(name, device=device)
    if isinstance(enhancer, PlanesEnhancer):
        enhancer = enhancer.for_colour(colour)
    return executor_for(enhancer, fall_back=device == "auto", latency=latency)


def executor_for(enhancer: Enhancer, *, fall_back: bool = False, latency: bool = False) -> Executor:
    """The executor that runs `enhancer` best: on a GPU with streams and batches, else on the CPU."""
    if not enhancer.backend.startswith("torch cuda"):
        return CpuExecutor(enhancer)
    from .gpu.load import gpu_executor  # imports torch, which the CPU path does not need

    return gpu_executor(enhancer, fall_back=fall_back, latency=latency)


def load_reducer_for(executor: Executor, repair: Collection[Kind]) -> ArtifactReducer | None:
    """The artifact reducer that goes with an executor's tier, on its device; None if blocky frames are to be left."""
    if Kind.BLOCKY not in repair:
        return None
    return load_reducer(executor.name, device="cuda" if executor.backend.startswith("torch cuda") else "cpu")


def encoding_of(colour: Colour, *, height_px: int) -> YCbCr:
    """How the planes of a video encode colour, by its tags.

    Untagged video counts as BT.709 from 720 rows up and as BT.601 below, as in players; its range as limited.
    """
    tagged = colour.matrix not in _UNTAGGED
    return YCbCr(colour.matrix if tagged else _BT709 if height_px >= 720 else _BT601, full_range=colour.range == 2)


class Networks:
    """The detectors and enhancers of one or many runs: each is loaded when first needed and kept until `close`.

    To be used for one run at a time.
    """

    def __init__(self) -> None:
        self._detectors: dict[tuple[str, bool], Detector] = {}
        self._executors: dict[tuple[str, str], Executor] = {}
        self._enhancers: dict[tuple[str, str], Enhancer] = {}
        self._reducers: dict[tuple[str, str], ArtifactReducer | None] = {}
        self._colour = YCbCr()

    def detector(self, method: str, *, pixel_art: bool) -> Detector:
        """The detector of that name; raises UsageError if there is none."""
        key = method, pixel_art
        if key not in self._detectors:
            self._detectors[key] = load_detector(method, pixel_art=pixel_art)
        return self._detectors[key]

    def executor(self, model: str, *, device: str, colour: YCbCr) -> Executor:
        """The executor of a tier or model file, for planes that encode colour as `colour` says; see `load_executor`."""
        self._colour = colour
        key = model, device
        if key not in self._executors:
            self._executors[key] = load_executor(model, device=device, colour=lambda: self._colour)
        return self._executors[key]

    def reducer(self, executor: Executor, repair: Collection[Kind]) -> ArtifactReducer | None:
        """The artifact reducer that goes with an executor; see `load_reducer_for`."""
        key = executor.name, executor.backend
        if key not in self._reducers:
            self._reducers[key] = load_reducer_for(executor, {Kind.BLOCKY})
        return self._reducers[key] if Kind.BLOCKY in repair else None

    def picture_reducer(self, enhancer: Enhancer, repair: Collection[Kind]) -> ArtifactReducer | None:
        """The artifact reducer that goes with an enhancer, for still pictures."""
        return self.reducer(CpuExecutor(enhancer), repair)

    def enhancer(self, model: str, *, device: str) -> Enhancer:
        """The enhancer of a tier or model file, for still pictures; see `load_enhancer`."""
        key = model, device
        if key not in self._enhancers:
            self._enhancers[key] = load_enhancer(model, device=device)
        return self._enhancers[key]

    def close(self) -> None:
        """Release the networks."""
        for executor in self._executors.values():
            executor.close()
        for enhancer in self._enhancers.values():
            enhancer.close()
        for reducer in self._reducers.values():
            if reducer is not None:
                reducer.close()
        self._reducers.clear()
        self._executors.clear()
        self._enhancers.clear()
