"""An OpenVINO graph that is compiled for each size of picture."""

from __future__ import annotations

import math
from collections import OrderedDict

import numpy as np

from deepclarity.models.openvino_no_telemetry import openvino

from .network import Pixels

_MAX_COMPILED = 4
"""Compiled graphs kept, one per size."""
_MAX_LAYER_BYTES = 16 * 2**30


class Graph:
    """Runs a graph of one input and one output, (1, channels, h, w), on the CPU in float32."""

    def __init__(self, model: openvino.Model, core: openvino.Core) -> None:
        self._model, self._core = model, core
        self._requests: OrderedDict[tuple[int, ...], openvino.InferRequest] = OrderedDict()
        self.widest_bytes = 0
        """Size of the largest result of a layer, for the size compiled last."""

    def __call__(self, pixels: Pixels) -> Pixels:
        """The result for (channels, h, w); RuntimeError if the graph fails or returns no single picture."""
        if pixels.shape not in self._requests:
            while len(self._requests) >= _MAX_COMPILED:
                self._requests.popitem(last=False)
            self._requests[pixels.shape] = self._compiled(pixels.shape)
        self._requests.move_to_end(pixels.shape)
        request = self._requests[pixels.shape]
        kind = request.model_inputs[0].get_element_type().to_dtype()
        large = request.infer([np.ascontiguousarray(pixels[None], kind)], share_inputs=True)[0]
        if large.ndim != 4 or large.shape[0] != 1:
            raise RuntimeError(f"it returns {large.shape}, not one picture")
        return np.asarray(large[0], np.float32)

    def close(self) -> None:
        """Release the compiled graphs; a later call compiles again."""
        self._requests.clear()

    def _compiled(self, shape: tuple[int, ...]) -> openvino.InferRequest:
        model = self._model.clone()
        model.reshape([1, *shape])
        sizes = [output.get_partial_shape() for op in model.get_ops() for output in op.outputs()]
        self.widest_bytes = max((4 * math.prod(size.to_shape()) for size in sizes if size.is_static), default=0)
        if self.widest_bytes > _MAX_LAYER_BYTES:
            raise RuntimeError(f"out of memory: a layer would take {self.widest_bytes / 2**30:.0f} GiB")
        options = {
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,  # decoder and encoder threads compete for the same cores
        }
        return self._core.compile_model(model, "CPU", options).create_infer_request()
