"""An artifact reducer on the CPU by OpenVINO; the graph is built here from the tensors."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import DeviceError
from deepclarity.models.backends.checks import first_line
from deepclarity.models.backends.openvino import native_precision
from deepclarity.models.openvino_no_telemetry import openvino, ops
from deepclarity.models.verdict import Plane

from .architecture import FOLD, GAIN, ReducerNet

_MAX_COMPILED = 4
_Tensors = Mapping[str, NDArray[np.float32]]
Cells = tuple[Plane, Plane, Plane]


class OpenVinoReducer:
    """Runs a reducer on planes with even sides; one compiled graph per size."""

    def __init__(self, net: ReducerNet, tensors: _Tensors) -> None:
        self._net, self._tensors = net, dict(tensors)
        self._core = openvino.Core()
        self._precision = native_precision(self._core)
        self.backend = f"openvino {self._precision}"
        self._requests: OrderedDict[tuple[object, ...], openvino.InferRequest] = OrderedDict()

    def run(self, planes: Cells, known: NDArray[np.float32], *, max_value: int) -> Cells:
        """Repair luma (h, w), Cb and Cr (h/2, w/2) of one dtype; `known`: scaled quantiser and whether it is known,
        (2, h/2, w/2)."""
        luma = planes[0]
        key = (luma.shape, luma.dtype.name, max_value)
        try:
            request = self._request(key, luma, max_value)
            inputs = [*(np.ascontiguousarray(plane)[None, None] for plane in planes), known[None]]
            results = request.infer(inputs, share_inputs=True, share_outputs=True)
        except RuntimeError as error:
            raise DeviceError(
                f"OpenVINO could not repair {luma.shape[1]}x{luma.shape[0]}: {first_line(error)}"
            ) from error
        one, other, third = (results[number][0, 0].copy() for number in range(3))  # the next run reuses the buffers
        return one, other, third

    def close(self) -> None:
        """Release the compiled graphs."""
        self._requests.clear()

    def _request(self, key: tuple[object, ...], luma: Plane, max_value: int) -> openvino.InferRequest:
        if key not in self._requests:
            while len(self._requests) >= _MAX_COMPILED:
                self._requests.popitem(last=False)
            graph = build_graph(self._net, self._tensors, size=luma.shape, dtype=luma.dtype, max_value=max_value)
            options = {
                "INFERENCE_PRECISION_HINT": self._precision if luma.dtype == np.uint8 else "f32",
                "PERFORMANCE_HINT": "LATENCY",
                "ENABLE_CPU_PINNING": False,  # decoder and encoder threads compete for the same cores
            }
            self._requests[key] = self._core.compile_model(graph, "CPU", options).create_infer_request()
        self._requests.move_to_end(key)
        return self._requests[key]


def build_graph(
    net: ReducerNet, tensors: _Tensors, *, size: tuple[int, ...], dtype: np.dtype[np.unsignedinteger], max_value: int
) -> openvino.Model:
    """The graph for one size: luma (1, 1, h, w), Cb, Cr and the quantiser in; the repaired planes out."""
    half = [1, 1, size[0] // FOLD, size[1] // FOLD]
    luma = ops.parameter([1, 1, *size], dtype.type, name="luma")
    blue, red = (ops.parameter(half, dtype.type, name=name) for name in ("blue", "red"))
    known = ops.parameter([1, 2, *half[2:]], np.float32, name="known")
    unit = _number(1 / max_value)
    floats = [ops.multiply(ops.convert(plane, "f32"), unit) for plane in (luma, blue, red)]
    cells = ops.space_to_depth(floats[0], "blocks_first", FOLD)
    samples = ops.concat([cells, floats[1], floats[2]], axis=1)
    # Computed around the middle, where bfloat16 is finer; the samples themselves are added in single precision.
    x = ops.concat([ops.subtract(samples, _number(0.5)), known], axis=1)
    for number in range(net.layers):
        weight, bias = tensors[f"layer{number}.weight"], tensors[f"layer{number}.bias"]
        if number == net.layers - 1:
            weight, bias = weight * GAIN, bias * GAIN
        x = ops.convolution(x, _constant(weight), [1, 1], [1, 1], [1, 1], [1, 1])
        x = ops.add(x, _constant(bias.reshape(1, -1, 1, 1)))
        x = x if number == net.layers - 1 else ops.relu(x)
    result = ops.add(ops.multiply(ops.add(samples, x), _number(float(max_value))), _number(0.5))
    rounded = ops.convert(ops.clamp(result, 0.0, float(max_value)), dtype.type)  # the conversion truncates
    parts = ops.variadic_split(rounded, _ints(1)[0], _ints(FOLD * FOLD, 1, 1))
    shuffled = ops.depth_to_space(parts.output(0), "blocks_first", FOLD)
    return openvino.Model([shuffled.output(0), parts.output(1), parts.output(2)], [luma, blue, red, known], "reducer")


def _constant(array: NDArray[np.floating]) -> openvino.Node:
    return ops.constant(np.ascontiguousarray(array, dtype=np.float32))


def _number(value: float) -> openvino.Node:
    return ops.constant(np.float32(value))


def _ints(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)
