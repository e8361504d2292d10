"""A detector's network, compiled by OpenVINO for one picture at a time."""

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
    """Runs a graph; threads may share it, as each has a request of its own."""

    def __init__(self, graph: openvino.Model, *, name: str, precision: str = "auto", threads: int = 0) -> None:
        """`precision`: `f32`, `bf16`, or `auto`, bf16 where the processor computes in it natively; `threads`: 0: as
        OpenVINO thinks best."""
        core = openvino.Core()
        chosen = native_precision(core) if precision == "auto" else precision
        options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": chosen,
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,  # decoder and encoder threads want the same cores
        }
        if threads:
            options["INFERENCE_NUM_THREADS"] = threads
        self.backend, self._name, self._own = f"openvino {chosen}", name, threading.local()
        try:
            self._model = core.compile_model(graph, "CPU", options)
        except RuntimeError as error:
            raise DeviceError(f"OpenVINO could not prepare {name}: {first_line(error)}") from error

    @property
    def request(self) -> openvino.InferRequest:
        """This thread's; it reads and writes memory of its own."""
        if not hasattr(self._own, "request"):
            request = self._model.create_infer_request()
            self._own.inputs = [tensor.data for tensor in request.input_tensors]
            self._own.found = request.output_tensors[0].data
            self._own.request = request
        return self._own.request

    @property
    def inputs(self) -> list[NDArray[Any]]:
        """This thread's memory for the inputs, to be filled before `run`."""
        try:
            self.request  # noqa: B018
        except RuntimeError as error:
            raise self._failed(error) from error
        return self._own.inputs  # type: ignore[no-any-return]

    def run(self) -> NDArray[np.float32]:
        """The first row of the first output, a copy."""
        try:
            self.request.infer(share_outputs=True)
        except RuntimeError as error:
            raise self._failed(error) from error
        return np.array(self._own.found[0], np.float32)

    def __call__(self, inputs: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """What `run` does, of `inputs`, which are copied."""
        for memory, array in zip(self.inputs, inputs, strict=True):
            memory[:] = array
        return self.run()

    def _failed(self, error: RuntimeError) -> DeviceError:
        return DeviceError(f"OpenVINO could not run {self._name}: {first_line(error)}")
