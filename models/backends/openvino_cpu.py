"""`turbo` on the CPU by OpenVINO: its graph is built here from the tensors, without ONNX or torch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import cv2
import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import opset13 as ops

from deepclarity.errors import DeviceError
from deepclarity.models.generator import CENTRE, FOLD, Turbo, bilinear_kernel, check_shapes
from deepclarity.models.verdict import Plane

from .plane import as_plane, check_plane, check_scale, first_line

_KEPT_SIZES = 6
"""A stream keeps its size; a folder of pictures does not. Compiling again costs some 30 ms."""

_Key = tuple[int, int, str, int, int]


class OpenVinoTurbo:
    """Runs a `turbo` network on the CPU; one compiled graph per picture size and scale."""

    def __init__(
        self,
        net: Turbo,
        tensors: Mapping[str, NDArray[np.float32]],
        *,
        name: str = "turbo",
        precision: str = "auto",
    ) -> None:
        """`precision` is `f32`, `bf16`, or `auto`: bf16 where the processor computes in it natively."""
        check_shapes(net, tensors, name=name)
        self.name = name
        self.scales = net.scales
        self._net, self._tensors = net, dict(tensors)
        self._core = openvino.Core()
        self._precision = native_precision(self._core) if precision == "auto" else precision
        self.backend = f"openvino {self._precision}"
        self._requests: OrderedDict[_Key, openvino.InferRequest] = OrderedDict()

    def __call__(self, luma: Plane, *, scale: int, max_value: int = 255) -> Plane:
        """Enlarge (height, width) to (height * scale, width * scale), same dtype, range 0..max_value."""
        check_scale(self.name, scale, self.scales)
        luma = check_plane(luma, max_value)
        height, width = luma.shape
        small = _with_edges(luma)
        try:
            request = self._request(small, scale, max_value)
            cells = request.infer([small[None, None]], share_inputs=True, share_outputs=True)[0]
        except RuntimeError as error:
            reason = first_line(error)
            raise DeviceError(f"OpenVINO could not enlarge {width}x{height} luma: {reason}") from error
        return _shuffle(cells[0], FOLD * scale)[: height * scale, : width * scale]

    def close(self) -> None:
        """Forget the compiled graphs; a later call compiles again."""
        self._requests.clear()

    def _request(self, small: Plane, scale: int, max_value: int) -> openvino.InferRequest:
        key = (*small.shape, small.dtype.name, scale, max_value)
        if key not in self._requests:
            while len(self._requests) >= _KEPT_SIZES:
                self._requests.popitem(last=False)
            self._requests[key] = self._compile(small, scale, max_value)
        self._requests.move_to_end(key)
        return self._requests[key]

    def _compile(self, small: Plane, scale: int, max_value: int) -> openvino.InferRequest:
        graph = build_graph(
            self._net, self._tensors, size=small.shape, dtype=small.dtype, scale=scale, max_value=max_value
        )
        # bfloat16 holds 8 bits: enough for 8-bit video, too coarse for more.
        precision = self._precision if small.dtype == np.uint8 else "f32"
        options = {
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,  # decoder and encoder threads want the same cores
        }
        return self._core.compile_model(graph, "CPU", options).create_infer_request()


def native_precision(core: openvino.Core) -> str:
    """`bf16` where the processor multiplies bfloat16 natively, else `f32`."""
    listed = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    # AVX-512 without its BF16 part can be listed too, emulated and slow; there OpenVINO's own default is f32.
    chosen = core.get_property("CPU", "INFERENCE_PRECISION_HINT") == openvino.Type.bf16
    return "bf16" if listed and chosen else "f32"


def build_graph(
    net: Turbo,
    tensors: Mapping[str, NDArray[np.float32]],
    *,
    size: tuple[int, ...],
    dtype: np.dtype[np.uint8] | np.dtype[np.uint16],
    scale: int,
    max_value: int,
) -> openvino.Model:
    """The network for luma of one size, edges repeated: (1, 1, *size) in, cells (1, y, x, (2·scale)²) out.

    Works in 8-bit levels round 128, which bfloat16 holds exactly; the bilinear part is one more convolution.
    """
    luma = ops.parameter([1, 1, *size], dtype.type, name="luma")
    levels = ops.multiply(ops.convert(luma, "f32"), _number(255 / max_value))
    levels = ops.subtract(levels, _number(CENTRE * 255))
    x = ops.relu(_conv(levels, tensors["stem.weight"] / 255, tensors["stem.bias"], stride=FOLD, pad=0))
    for i in range(net.layers):
        x = ops.relu(_conv(x, tensors[f"body.{i}.weight"], tensors[f"body.{i}.bias"], pad=1))
    detail = _conv(x, tensors[f"tail.x{scale}.weight"] * 255, tensors[f"tail.x{scale}.bias"] * 255, pad=0)
    smooth = ops.convolution(levels, _constant(bilinear_kernel(scale)), [FOLD] * 2, [0] * 2, [0] * 2, [1] * 2)
    large = ops.multiply(ops.add(ops.add(detail, smooth), _number(CENTRE * 255)), _number(max_value / 255))
    rounded = ops.clamp(ops.add(large, _number(0.5)), 0.0, float(max_value))  # the conversion cuts off
    # Channels last, so that the pixel shuffle left to the caller moves whole runs of pixels.
    cells = ops.transpose(ops.convert(rounded, dtype.type), [0, 2, 3, 1])
    return openvino.Model([cells], [luma], "turbo")


def _conv(
    x: openvino.Node, weight: NDArray[np.floating], bias: NDArray[np.floating], *, stride: int = 1, pad: int
) -> openvino.Node:
    y = ops.convolution(x, _constant(weight), [stride] * 2, [pad] * 2, [pad] * 2, [1] * 2)
    return ops.add(y, _constant(bias.reshape(1, -1, 1, 1)))


def _constant(array: NDArray[np.floating]) -> openvino.Node:
    return ops.constant(np.ascontiguousarray(array, dtype=np.float32))


def _number(value: float) -> openvino.Node:
    return ops.constant(np.float32(value))


def _with_edges(luma: Plane) -> Plane:
    """`luma` with its edges repeated: `FOLD` all round for the stem, and what the last cell lacks."""
    height, width = luma.shape
    bottom, right = FOLD + -height % FOLD, FOLD + -width % FOLD
    return as_plane(cv2.copyMakeBorder(luma, FOLD, bottom, FOLD, right, cv2.BORDER_REPLICATE))


def _shuffle(cells: Plane, side: int) -> Plane:
    """Pixel shuffle (y, x, side²) to (y * side, x * side), moving `side` pixels at a time."""
    y, x, _ = cells.shape
    runs = cells.reshape(y, x, side, side).view(f"V{side * cells.itemsize}")[..., 0]
    # A copy also where nothing moves: the cells belong to the request and the next call overwrites them.
    return runs.transpose(0, 2, 1).copy().view(cells.dtype).reshape(y * side, x * side)
