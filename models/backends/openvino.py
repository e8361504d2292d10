"""OpenVINO back end of the generators, on the CPU; graphs are built here from the tensors, without ONNX or torch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import DeviceError, WeightsError
from deepclarity.models.generator import CENTRE, Block, Generator, Layer, bilinear_kernel, check_shapes
from deepclarity.models.openvino_no_telemetry import openvino, ops
from deepclarity.models.verdict import Plane

from .checks import as_plane, check_plane, check_scale, first_line

_MAX_COMPILED = 6
"""Graphs kept, one per picture size and scale. The frames of a stream have one size, the pictures of a folder many;
recompiling takes about 30 ms."""

_Tensors = Mapping[str, NDArray[np.floating]]

_Key = tuple[int, int, str, int, int]


class OpenVinoGenerator:
    """Runs a generator on the CPU; one compiled graph per picture size and scale."""

    def __init__(
        self,
        net: Generator,
        tensors: Mapping[str, NDArray[np.float32]],
        *,
        name: str = "generator",
        precision: str = "auto",
        int8_ranges: Sequence[float] = (),
    ) -> None:
        """`precision` is `f32`, `bf16`, `int8`, or `auto`: int8 if `int8_ranges` are given, else bf16 where supported
        natively, else f32. `int8_ranges`: see `Record.int8_ranges`."""
        check_shapes(net, tensors, name=name)
        self.name = name
        self.scales = net.scales
        self._net, self._tensors = net, dict(tensors)
        self._core = openvino.Core()
        self._ranges = tuple(int8_ranges)
        if self._ranges and (len(self._ranges) != len(net.int8_layers(net.scales[-1])) or min(self._ranges) <= 0):
            raise WeightsError(f"{name}: int8_ranges of the manifest do not fit its layers; reinstall deepclarity")
        if precision == "auto":
            precision = "int8" if self._ranges else native_precision(self._core)
        self._precision = precision
        self.backend = f"openvino {self._precision}"
        self._requests: OrderedDict[_Key, openvino.InferRequest] = OrderedDict()

    def __call__(self, luma: Plane, *, scale: int, max_value: int = 255) -> Plane:
        """Enlarge (height, width) to (height * scale, width * scale), same dtype, range 0..max_value."""
        check_scale(self.name, scale, self.scales)
        luma = check_plane(luma, max_value)
        height, width = luma.shape
        small = _pad_edges(luma, self._net.fold)
        try:
            request = self._request(small, scale, max_value)
            cells = request.infer([small[None, None]], share_inputs=True, share_outputs=True)[0]
        except RuntimeError as error:
            reason = first_line(error)
            raise DeviceError(f"OpenVINO could not enlarge {width}x{height} luma: {reason}") from error
        return _pixel_shuffle(cells[0], self._net.fold * scale)[: height * scale, : width * scale]

    def close(self) -> None:
        """Release the compiled graphs; a later call compiles again."""
        self._requests.clear()

    def _request(self, small: Plane, scale: int, max_value: int) -> openvino.InferRequest:
        key = (*small.shape, small.dtype.name, scale, max_value)
        if key not in self._requests:
            while len(self._requests) >= _MAX_COMPILED:
                self._requests.popitem(last=False)
            self._requests[key] = self._compile(small, scale, max_value)
        self._requests.move_to_end(key)
        return self._requests[key]

    def _compile(self, small: Plane, scale: int, max_value: int) -> openvino.InferRequest:
        # 8-bit integers are precise enough for 8-bit video, but not for more.
        precision = self._precision if small.dtype == np.uint8 else "f32"
        graph = build_graph(
            self._net,
            self._tensors,
            size=small.shape,
            dtype=small.dtype,
            scale=scale,
            max_value=max_value,
            int8_ranges=self._ranges if precision == "int8" else (),
        )
        options = {
            "INFERENCE_PRECISION_HINT": native_precision(self._core) if precision == "int8" else precision,
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,  # decoder and encoder threads compete for the same cores
        }
        return self._core.compile_model(graph, "CPU", options).create_infer_request()


def native_precision(core: openvino.Core) -> str:
    """`bf16` where the processor multiplies bfloat16 natively, else `f32`."""
    listed = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    # AVX-512 without BF16 can be listed, too, emulated and slow; there OpenVINO's own default is f32.
    is_default = core.get_property("CPU", "INFERENCE_PRECISION_HINT") == openvino.Type.bf16
    return "bf16" if listed and is_default else "f32"


def build_graph(
    net: Generator,
    tensors: Mapping[str, NDArray[np.float32]],
    *,
    size: tuple[int, ...],
    dtype: np.dtype[np.uint8] | np.dtype[np.uint16],
    scale: int,
    max_value: int,
    int8_ranges: Sequence[float] = (),
) -> openvino.Model:
    """The graph for padded luma of one size: (1, 1, *size) in, cells (1, y, x, (fold·scale)²) out.

    Computes in 8-bit levels around 128, which bfloat16 represents exactly; the bilinear part is one more convolution.
    """
    luma = ops.parameter([1, 1, *size], dtype.type, name="luma")
    levels = ops.multiply(ops.convert(luma, "f32"), _number(255 / max_value))
    levels = ops.subtract(levels, _number(CENTRE * 255))
    tail, stride = net.tail(scale), [net.fold] * 2
    scaled: dict[str, NDArray[np.floating]] = dict(tensors)  # the network was trained for 0..1
    scaled["stem.weight"] = tensors["stem.weight"] / 255
    for name in tail.shapes:
        scaled[name] = tensors[name] * 255
    ranges = dict(zip(net.int8_layers(scale), int8_ranges, strict=True)) if int8_ranges else {}
    x = stem = _layer(net.stem, levels, scaled, stride=stride, pad=0)
    for block in net.body:
        x = _block(block, x, scaled, ranges)
    if net.long_skip:
        x = ops.add(x, stem)
    detail = _layer(tail, x, scaled, ranges)
    smooth = ops.convolution(levels, _constant(bilinear_kernel(scale, fold=net.fold)), stride, [0, 0], [0, 0], [1, 1])
    large = ops.multiply(ops.add(ops.add(detail, smooth), _number(CENTRE * 255)), _number(max_value / 255))
    rounded = ops.clamp(ops.add(large, _number(0.5)), 0.0, float(max_value))  # the conversion truncates
    # Channels last, so that the pixel shuffle, which the caller does, moves contiguous runs of pixels.
    cells = ops.transpose(ops.convert(rounded, dtype.type), [0, 2, 3, 1])
    return openvino.Model([cells], [luma], net.family)


def _block(block: Block, x: openvino.Node, tensors: _Tensors, ranges: Mapping[str, float]) -> openvino.Node:
    y = x
    for layer in block.layers:
        y = _layer(layer, y, tensors, ranges)
    return ops.add(x, y) if block.residual else y


def _layer(
    layer: Layer,
    x: openvino.Node,
    tensors: _Tensors,
    ranges: Mapping[str, float] = MappingProxyType({}),
    *,
    stride: Sequence[int] = (1, 1),
    pad: int | None = None,
) -> openvino.Node:
    """One convolution; in int8 if the range of its input is known."""
    pads, weight = [layer.side // 2 if pad is None else pad] * 2, tensors[f"{layer.name}.weight"]
    if layer.depthwise:
        grouped = weight[:, None]  # OpenVINO expects (groups, out, in, h, w)
        return ops.group_convolution(x, _constant(grouped), list(stride), pads, pads, [1, 1])
    kernel = _constant(weight)
    if layer.name in ranges:
        x = _quantise(x, np.zeros(()), np.asarray(ranges[layer.name]), levels=256)
        largest = np.abs(weight).max(axis=(1, 2, 3), keepdims=True) + 1e-12
        kernel = _quantise(kernel, -largest, largest, levels=255)
    y = ops.convolution(x, kernel, list(stride), pads, pads, [1, 1])
    y = ops.add(y, _constant(tensors[f"{layer.name}.bias"].reshape(1, -1, 1, 1)))
    return ops.relu(y) if layer.relu else y


def _quantise(x: openvino.Node, low: NDArray[np.floating], high: NDArray[np.floating], *, levels: int) -> openvino.Node:
    """`x` quantised to `levels` from `low` to `high`: OpenVINO then computes the following layer in 8-bit integers."""
    lowest, highest = _constant(low), _constant(high)
    return ops.fake_quantize(x, lowest, highest, lowest, highest, levels)


def _constant(array: NDArray[np.floating]) -> openvino.Node:
    return ops.constant(np.ascontiguousarray(array, dtype=np.float32))


def _number(value: float) -> openvino.Node:
    return ops.constant(np.float32(value))


def _pad_edges(luma: Plane, fold: int) -> Plane:
    """`luma` with edges repeated by `fold` pixels on all sides for the stem, and more to complete the last cells."""
    height, width = luma.shape
    bottom, right = fold + -height % fold, fold + -width % fold
    return as_plane(cv2.copyMakeBorder(luma, fold, bottom, fold, right, cv2.BORDER_REPLICATE))


def _pixel_shuffle(cells: Plane, side: int) -> Plane:
    """Pixel shuffle (y, x, side²) to (y * side, x * side), moving `side` pixels at a time."""
    y, x, _ = cells.shape
    runs = cells.reshape(y, x, side, side).view(f"V{side * cells.itemsize}")[..., 0]
    # Copied even if nothing moves: the cells belong to the request, and the next call overwrites them.
    return runs.transpose(0, 2, 1).copy().view(cells.dtype).reshape(y * side, x * side)
