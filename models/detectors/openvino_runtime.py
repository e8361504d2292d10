"""Thread-safe OpenVINO inference of a detector's network, one picture at a time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import DeviceError
from deepclarity.models.backends.checks import first_line
from deepclarity.models.backends.openvino import native_precision
from deepclarity.models.openvino_no_telemetry import openvino


class CompiledModel:
    """A compiled graph. Threads may share it: each has its own inference request."""

    def __init__(self, graph: openvino.Model, *, name: str, precision: str = "auto", threads: int = 0) -> None:
        """Compile `graph`; DeviceError, with `name` in it, if OpenVINO cannot.

        `precision`: `f32`, `bf16`, or `auto`, which is bf16 where the processor supports it natively; `threads`: CPU
        threads, 0 for OpenVINO's default.
        """
        core = openvino.Core()
        chosen = native_precision(core) if precision == "auto" else precision
        options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": chosen,
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,  # decoder and encoder threads compete for the same cores
        }
        if threads:
            options["INFERENCE_NUM_THREADS"] = threads
        self.backend, self._name, self._thread = f"openvino {chosen}", name, threading.local()
        try:
            self._model = core.compile_model(graph, "CPU", options)
        except RuntimeError as error:
            raise DeviceError(f"OpenVINO could not prepare {name}: {first_line(error)}") from error

    @property
    def request(self) -> openvino.InferRequest:
        """The inference request of this thread, which has its own input and output memory."""
        if not hasattr(self._thread, "request"):
            request = self._model.create_infer_request()
            self._thread.inputs = [tensor.data for tensor in request.input_tensors]
            self._thread.output = request.output_tensors[0].data
            self._thread.request = request
        return self._thread.request

    @property
    def inputs(self) -> list[NDArray[Any]]:
        """This thread's input arrays, to be filled before `run`."""
        try:
            self.request  # noqa: B018
        except RuntimeError as error:
            raise self._failed(error) from error
        return self._thread.inputs  # type: ignore[no-any-return]

    def run(self) -> NDArray[np.float32]:
        """Run the network on `inputs`; a copy of the first row of the first output."""
        try:
            self.request.infer(share_outputs=True)
        except RuntimeError as error:
            raise self._failed(error) from error
        return np.array(self._thread.output[0], np.float32)

    def __call__(self, inputs: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Copy `inputs`, then `run`."""
        for memory, array in zip(self.inputs, inputs, strict=True):
            memory[:] = array
        return self.run()

    def _failed(self, error: RuntimeError) -> DeviceError:
        return DeviceError(f"OpenVINO could not run {self._name}: {first_line(error)}")
