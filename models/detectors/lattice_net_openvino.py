"""The network of `lattice-net` on the CPU by OpenVINO; the graph is built here from the tensors."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from deepclarity.models.openvino_no_telemetry import openvino, ops

from .crops import CROP_PX, CROPS, EVIDENCE_SIZE, LatticeCrops
from .lattice import Floats
from .lattice_net_architecture import CHANNELS, INPUT_CHANNELS, LUMA_GAIN, MAX_EVIDENCE
from .openvino_runtime import CompiledModel

_PIXELS = CROP_PX * CROP_PX

_Tensors = Mapping[str, NDArray[np.floating]]


class OpenVinoLatticeNet:
    """The network, compiled once."""

    def __init__(self, tensors: _Tensors, *, precision: str = "auto") -> None:
        """`precision`: `f32`, `bf16`, or `auto`, bf16 where the processor computes in it natively."""
        # One thread: it is too small for more.
        self.compiled = CompiledModel(build_graph(tensors), name="lattice-net", precision=precision, threads=1)
        self.backend = self.compiled.backend

    def __call__(self, crops: LatticeCrops) -> NDArray[np.float32]:
        """The logits, (classes,)."""
        shown, means, gains, evidence = self.compiled.inputs
        _, means[:], gains[:] = input_channels(crops, out=shown)
        evidence[0] = crops.evidence
        return self.compiled.run()


def input_channels(
    crops: LatticeCrops, *, out: NDArray[np.uint8] | None = None
) -> tuple[NDArray[np.uint8], Floats, Floats]:
    """The channels of each crop, its mean luma, and the gain that makes its mean gradient about 1.

    Luma, its gradients along x and y, and those on edges, (8, 48, 48, 5) uint8, in `out` if given; means and gains,
    (8, 1, 1, 1) each.
    """
    shown = np.empty((CROPS, CROP_PX, CROP_PX, INPUT_CHANNELS), np.uint8) if out is None else out
    planes = np.empty((INPUT_CHANNELS, CROPS, CROP_PX, CROP_PX), np.uint8)
    luma, gradients_x, gradients_y, on_x, on_y = planes
    rows = planes.reshape(INPUT_CHANNELS, 1, -1)
    luma[:] = crops.crops
    # As if all rows, and all crops, were one: the gradients across the seams are set to zero afterwards.
    cv2.absdiff(rows[0, :, 1:], rows[0, :, :-1], dst=rows[1, :, 1:])
    cv2.absdiff(rows[0, :, CROP_PX:], rows[0, :, :-CROP_PX], dst=rows[2, :, CROP_PX:])
    gradients_x[:, :, 0] = 0
    gradients_y[:, 0] = 0
    np.bitwise_and(gradients_x, crops.edges_x[:, None], out=on_x)
    np.bitwise_and(gradients_y, crops.edges_y[:, :, None], out=on_y)
    cv2.merge(list(rows), dst=shown.reshape(1, -1, INPUT_CHANNELS))
    sums = cv2.reduce(planes[:3].reshape(3 * CROPS, -1), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32F)
    means: Floats = (sums * np.float32(1 / _PIXELS)).reshape(3, CROPS, 1, 1, 1)
    return shown, np.rint(means[0]), np.reciprocal(means[1] + means[2] + np.float32(1))


def build_graph(tensors: _Tensors) -> openvino.Model:
    """The graph: the results of `input_channels` and evidence (1, 70) in; logits (1, 6) out."""
    shown = ops.parameter([CROPS, CROP_PX, CROP_PX, INPUT_CHANNELS], np.uint8, name="shown")
    means = ops.parameter([CROPS, 1, 1, 1], np.float32, name="means")
    gains = ops.parameter([CROPS, 1, 1, 1], np.float32, name="gains")
    evidence = ops.parameter([1, EVIDENCE_SIZE], np.float32, name="evidence")
    # Means and gains are applied after the first convolution, which has no padding: there is less to compute there.
    weight = np.array(tensors["conv0.weight"], np.float32)
    weight[:, 0] *= LUMA_GAIN
    level = ops.constant(weight[:, 0].sum(axis=(1, 2)).reshape(1, -1, 1, 1))
    pairs = ops.reshape(shown, _ints(CROPS, CROP_PX, CROP_PX // 2, 2 * INPUT_CHANNELS), False)
    x = ops.transpose(ops.convert(pairs, "f32"), _ints(0, 3, 1, 2))  # OpenVINO keeps channels last in memory
    x = ops.convolution(x, ops.constant(_on_pairs(weight)), [2, 1], [0, 0], [0, 0], [1, 1])
    bias = ops.constant(tensors["conv0.bias"].reshape(1, -1, 1, 1).astype(np.float32))
    shift = ops.subtract(bias, ops.multiply(ops.multiply(means, gains), level))
    x = ops.relu(ops.add(ops.multiply(x, gains), shift))
    for number in range(1, len(CHANNELS)):
        x = _convolution(x, tensors, f"conv{number}", stride=1 if number == len(CHANNELS) - 1 else 2)
    per_crop = ops.reduce_mean(x, _ints(2, 3), keep_dims=False)
    pooled = [ops.reduce_mean(per_crop, _ints(0), keep_dims=True), ops.reduce_max(per_crop, _ints(0), keep_dims=True)]
    standardised = ops.multiply(ops.subtract(evidence, _row(tensors["evidence.mean"])), _row(tensors["evidence.scale"]))
    x = ops.concat([*pooled, ops.clamp(standardised, -MAX_EVIDENCE, MAX_EVIDENCE)], axis=1)
    x = ops.relu(_dense(x, tensors, "hidden"))
    return openvino.Model([_dense(x, tensors, "logits")], [shown, means, gains, evidence], "lattice_net")


def _on_pairs(weight: Floats) -> Floats:
    """A kernel (out, in, 3, 3) of stride 2, rearranged for pairs of adjacent pixels: (out, 2 * in, 3, 2)."""
    wide = np.pad(weight, ((0, 0), (0, 0), (0, 0), (0, 1)))
    return np.ascontiguousarray(np.concatenate([wide[..., 0::2], wide[..., 1::2]], axis=1))


def _convolution(x: openvino.Node, tensors: _Tensors, name: str, *, stride: int) -> openvino.Node:
    weight = ops.constant(np.ascontiguousarray(tensors[f"{name}.weight"], np.float32))
    y = ops.convolution(x, weight, [stride] * 2, [1, 1], [1, 1], [1, 1])
    return ops.relu(ops.add(y, ops.constant(tensors[f"{name}.bias"].reshape(1, -1, 1, 1).astype(np.float32))))


def _dense(x: openvino.Node, tensors: _Tensors, name: str) -> openvino.Node:
    weight = ops.constant(np.ascontiguousarray(tensors[f"{name}.weight"], np.float32))
    return ops.add(ops.matmul(x, weight, False, True), _row(tensors[f"{name}.bias"]))


def _row(values: NDArray[np.floating]) -> openvino.Node:
    return ops.constant(np.ascontiguousarray(values[None], np.float32))


def _ints(*values: int) -> openvino.Node:
    return ops.constant(np.array(values, np.int64))
