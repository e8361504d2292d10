"""ONNX graphs of the generators, built from their layers by the onnx package, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import UsageError
from deepclarity.models.generator import CENTRE, Generator, Layer, bilinear_kernel

from .spec import ExportSpec, rgb_to_ycc, ycc_to_rgb

_OPSET, _IR_VERSION = 17, 8
"""Of ONNX 1.12 (2022): read by every runtime in use."""


def onnx_bytes(
    net: Generator, tensors: Mapping[str, NDArray[np.float32]], spec: ExportSpec, *, metadata: Mapping[str, str]
) -> bytes:
    """The serialised model: `input` (n, channels, h, w) in 0..1 to `output` (n, channels, h * scale, w * scale).

    Raises UsageError if the onnx package is missing.
    """
    try:
        from onnx import TensorProto, checker, helper
    except ImportError as error:
        raise UsageError("export to ONNX needs the onnx package: pip install 'deepclarity[export]'") from error
    graph = _Graph(helper, half=spec.half)
    result = _rgb(graph, net, tensors, spec) if spec.rgb else _luma(graph, net, tensors, spec.scale, "input")
    graph.add("Clip", [result, graph.number(0.0), graph.number(1.0)], output="output")
    width, height = spec.size or ("width", "height")
    large = (height * spec.scale, width * spec.scale) if spec.size else ("height_out", "width_out")
    batch = 1 if spec.size else "n"
    floats = TensorProto.FLOAT
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "deepclarity",
            [helper.make_tensor_value_info("input", floats, [batch, spec.channels, height, width])],
            [helper.make_tensor_value_info("output", floats, [batch, spec.channels, *large])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="deepclarity",
    )
    helper.set_model_props(model, dict(metadata))
    checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


class _Graph:
    """Nodes and constants under construction; each value has a name."""

    def __init__(self, helper: Any, *, half: bool) -> None:
        self._helper = helper
        self.half = half
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, kind: str, inputs: list[str], *, output: str = "", **attributes: object) -> str:
        """Append a node; returns the name of its output."""
        name = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(self._helper.make_node(kind, inputs, [name], name=f"node_{len(self.nodes)}", **attributes))
        return name

    def constant(self, array: NDArray[np.generic]) -> str:
        """A constant; returns its name."""
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def number(self, value: float) -> str:
        """A scalar float32 constant."""
        return self.constant(np.array(value, np.float32))

    def weight(self, array: NDArray[np.float32]) -> str:
        """A constant in the precision of the network."""
        return self.constant(array.astype(np.float16) if self.half else array)

    def cast(self, value: str, *, half: bool) -> str:
        """`value` in float16 or float32; itself where the network computes in float32."""
        return self.add("Cast", [value], to=10 if half else 1) if self.half else value  # TensorProto.FLOAT16, FLOAT


def _luma(graph: _Graph, net: Generator, tensors: Mapping[str, NDArray[np.float32]], scale: int, luma: str) -> str:
    """The generator on one channel: the detail in the precision of the network, the bilinear part in float32."""
    fold = net.fold
    levels = graph.add("Sub", [luma, graph.number(CENTRE)])
    # Enough on the right and bottom to complete the last cell of a side that is not a multiple of it.
    pads = [0, 0, fold, fold, 0, 0, 2 * fold - 1, 2 * fold - 1]
    padded = graph.add("Pad", [levels, graph.constant(np.array(pads, np.int64))], mode="edge")
    x = stem = _layer(graph, net.stem, graph.cast(padded, half=True), tensors, stride=fold, pad=0)
    for block in net.body:
        y = x
        for layer in block.layers:
            y = _layer(graph, layer, y, tensors)
        x = graph.add("Add", [y, x]) if block.residual else y
    if net.long_skip:
        x = graph.add("Add", [x, stem])
    detail = graph.cast(_layer(graph, net.tail(scale), x, tensors), half=False)
    kernel = graph.constant(bilinear_kernel(scale, fold=fold))
    smooth = graph.add("Conv", [padded, kernel], strides=[fold] * 2, pads=[0] * 4, kernel_shape=[3 * fold] * 2)
    cells = graph.add("Add", [graph.add("Add", [detail, smooth]), graph.number(CENTRE)])
    large = graph.add("DepthToSpace", [cells], blocksize=fold * scale, mode="CRD") if fold * scale > 1 else cells
    if fold == 1:
        return large
    shape = graph.add("Shape", [luma], start=2, end=4)
    ends = graph.add("Mul", [shape, graph.constant(np.array([scale, scale], np.int64))])
    starts, axes = (graph.constant(np.array(values, np.int64)) for values in ([0, 0], [2, 3]))
    return graph.add("Slice", [large, starts, ends, axes])


def _layer(
    graph: _Graph,
    layer: Layer,
    x: str,
    tensors: Mapping[str, NDArray[np.float32]],
    *,
    stride: int = 1,
    pad: int | None = None,
) -> str:
    inputs = [x, graph.weight(tensors[f"{layer.name}.weight"])]
    if not layer.depthwise:
        inputs.append(graph.weight(tensors[f"{layer.name}.bias"]))
    around = layer.side // 2 if pad is None else pad
    y = graph.add(
        "Conv",
        inputs,
        strides=[stride] * 2,
        pads=[around] * 4,
        kernel_shape=[layer.side] * 2,
        group=layer.inputs if layer.depthwise else 1,
    )
    return graph.add("Relu", [y]) if layer.relu else y


def _rgb(graph: _Graph, net: Generator, tensors: Mapping[str, NDArray[np.float32]], spec: ExportSpec) -> str:
    """R'G'B' to Y'CbCr, the generator on luma, cubic interpolation of chroma, and back."""
    ycc = _matrix(graph, "input", *rgb_to_ycc())
    luma, chroma = f"{ycc}_luma", f"{ycc}_chroma"
    split = graph.constant(np.array([1, 2], np.int64))
    graph.nodes.append(graph._helper.make_node("Split", [ycc, split], [luma, chroma], axis=1))
    large = _luma(graph, net, tensors, spec.scale, luma)
    factors = graph.constant(np.array([1, 1, spec.scale, spec.scale], np.float32))
    smooth = graph.add(
        "Resize",
        [chroma, "", factors],
        mode="cubic",
        cubic_coeff_a=-0.75,
        coordinate_transformation_mode="half_pixel",
    )
    joined = graph.add("Concat", [large, smooth], axis=1)
    return _matrix(graph, graph.add("Clip", [joined, graph.number(0.0), graph.number(1.0)]), *ycc_to_rgb())


def _matrix(graph: _Graph, x: str, matrix: NDArray[np.float32], offset: NDArray[np.float32]) -> str:
    return graph.add("Conv", [x, graph.constant(matrix[:, :, None, None]), graph.constant(offset)], kernel_shape=[1, 1])
