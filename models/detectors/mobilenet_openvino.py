"""MobileNetV3-small on the CPU by OpenVINO; the graph is built here from the tensors, without ONNX or torch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from deepclarity.models.openvino_no_telemetry import openvino, ops

from .mobilenet_v3 import BLOCKS, HIDDEN, LAST, SIDE_PX, Bottleneck, Layer, check_shapes, logits, stem
from .openvino_runtime import CompiledModel

_Tensors = Mapping[str, NDArray[np.floating]]


class OpenVinoMobileNet:
    """The network, compiled for one picture at a time."""

    def __init__(
        self, tensors: _Tensors, *, inputs: int, classes: int, centre: float, name: str, precision: str = "auto"
    ) -> None:
        """`centre`: the neutral input level, subtracted first; `precision`: `f32`, `bf16`, or `auto`, which is bf16
        where the processor supports it natively."""
        check_shapes(tensors, inputs, classes, name=name)
        graph = build_graph(tensors, inputs=inputs, classes=classes, centre=centre)
        self.compiled = CompiledModel(graph, name=name, precision=precision)
        self.backend = self.compiled.backend

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The logits, (classes,), of one picture (inputs, 224, 224)."""
        return self.compiled([picture[None]])


def build_graph(tensors: _Tensors, *, inputs: int, classes: int, centre: float) -> openvino.Model:
    """The graph: uint8 (1, inputs, 224, 224) in, float32 logits (1, classes) out."""
    picture = ops.parameter([1, inputs, SIDE_PX, SIDE_PX], np.uint8, name="picture")
    x = ops.subtract(ops.convert(picture, "f32"), ops.constant(np.float32(centre)))
    x = _layer(stem(inputs), ops.multiply(x, ops.constant(np.float32(1 / 64))), tensors)
    for block in BLOCKS:
        x = _block(block, x, tensors)
    x = _mean(_layer(LAST, x, tensors))
    x = _layer(logits(classes), _layer(HIDDEN, x, tensors), tensors)
    return openvino.Model([ops.squeeze(x, ops.constant(np.array([2, 3])))], [picture], "mobilenet_v3_small")


def _block(block: Bottleneck, x: openvino.Node, tensors: _Tensors) -> openvino.Node:
    y = x if block.widen is None else _layer(block.widen, x, tensors)
    y = _layer(block.depthwise, y, tensors)
    if block.excitation:
        weights = _mean(y)
        for layer in block.excitation:
            weights = _layer(layer, weights, tensors)
        y = ops.multiply(y, weights)
    y = _layer(block.narrow, y, tensors)
    return ops.add(x, y) if block.residual else y


def _layer(layer: Layer, x: openvino.Node, tensors: _Tensors) -> openvino.Node:
    weight, bias = tensors[f"{layer.name}.weight"], tensors[f"{layer.name}.bias"]
    strides, pads = [layer.stride] * 2, [layer.side // 2] * 2
    if layer.depthwise:
        y = ops.group_convolution(x, ops.constant(weight[:, None]), strides, pads, pads, [1, 1])
    else:
        y = ops.convolution(x, ops.constant(weight), strides, pads, pads, [1, 1])
    y = ops.add(y, ops.constant(bias.reshape(1, -1, 1, 1)))
    act = {"hardswish": ops.hswish, "relu": ops.relu, "hardsigmoid": ops.hsigmoid}.get(layer.act)
    return act(y) if act else y


def _mean(x: openvino.Node) -> openvino.Node:
    return ops.reduce_mean(x, ops.constant(np.array([2, 3])), keep_dims=True)
