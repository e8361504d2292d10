"""Export of a tier, and the check that the exported file computes what the tier computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from deepclarity.errors import StageError, UsageError, did_you_mean
from deepclarity.models.backends.checks import first_line
from deepclarity.models.backends.torch import TorchGenerator
from deepclarity.models.colour import YCbCr, as_planes
from deepclarity.models.generator import Generator
from deepclarity.models.load import generator_from
from deepclarity.models.weights import load_weights, parse_tensors, read_manifest, safetensors_metadata

from .onnx_graph import onnx_bytes
from .spec import FORMATS, ExportSpec, described_generator, metadata_of
from .torchscript import run_torchscript, torchscript_bytes

Floats = NDArray[np.float32]
Tensors = Mapping[str, Floats]
Run = Callable[[bytes, Floats, ExportSpec], Floats]
"""Runs the content of an exported file on (1, channels, h, w)."""

_LEVELS = 65535
_CHECKED_SIZES = ((45, 37), (64, 48))
"""(width, height) of the pictures by which an export of any size is checked: odd, and even."""


@dataclass(frozen=True, slots=True)
class Exported:
    """The result of an export."""

    content: bytes
    difference: float
    """Largest difference from the tier in float32, in 8-bit levels."""
    checked_with: str
    """What ran it: `onnxruntime`, `openvino`, `torch` or `safetensors`."""


def exportable_tiers() -> dict[str, tuple[int, ...]]:
    """The tiers that have a network, with their scales."""
    return {name: record.scales for name, record in read_manifest().items() if record.kind == "enhancer"}


def export_tier(name: str, spec: ExportSpec) -> Exported:
    """Export the tier `name`.

    Raises UsageError for an unknown tier, options that exclude each other, a missing package, or a result that is
    more than one 8-bit level off, as float16 can be; StageError if float32 is.
    """
    spec.check()
    if name not in exportable_tiers():
        raise UsageError(f"no tier '{name}' with a network; {did_you_mean(name, exportable_tiers())}")
    if spec.format not in FORMATS:
        raise UsageError(f"unknown format '{spec.format}'; {did_you_mean(spec.format, FORMATS)}")
    record, tensors = load_weights(name)
    if spec.format != "safetensors" and spec.scale not in record.scales:
        raise UsageError(f"--scale {spec.scale}: {name} enlarges by {', '.join(map(str, record.scales))}.")
    net, metadata = generator_from(record), metadata_of(record, spec)
    run: Run
    if spec.format == "safetensors":
        stored = {key: value.astype(np.float16) if spec.half else value for key, value in tensors.items()}
        content, run, checked_with = safetensors.numpy.save(stored, dict(metadata)), _run_safetensors, "safetensors"
    elif spec.format == "onnx":
        content = onnx_bytes(net, tensors, spec, metadata=metadata)
        run, checked_with = _onnx_runner()
    else:
        content, run, checked_with = torchscript_bytes(net, tensors, spec, metadata=metadata), _run_torchscript, "torch"
    difference = _difference(net, tensors, spec, lambda pixels: run(content, pixels, spec))
    if not difference <= 1:
        problem = f"{name} as {spec.format} is off by {difference:.2f} levels"
        if spec.half:
            raise UsageError(f"{problem} in float16. Export it without --fp16.")
        raise StageError(f"{problem}; nothing was written. Report this bug.")
    return Exported(content, difference, checked_with)


def _difference(net: Generator, tensors: Tensors, spec: ExportSpec, run: Callable[[Floats], Floats]) -> float:
    """The largest difference from the tier in float32 on random pictures, in 8-bit levels."""
    reference, largest = TorchGenerator(net, tensors), 0.0
    rng = np.random.default_rng(0)
    for width, height in [spec.size] if spec.size else _CHECKED_SIZES:
        cells = rng.random((1, spec.channels, -(-height // 2), -(-width // 2)), np.float32)
        pixels = np.ascontiguousarray(cells.repeat(2, axis=2).repeat(2, axis=3)[..., :height, :width])
        expected = _by_tier(reference, pixels[0], spec)
        actual = run(pixels)
        if actual.shape != (1, *expected.shape):
            raise StageError(f"the exported file turns {pixels.shape} into {actual.shape}. Report this bug.")
        largest = max(largest, float(np.abs(actual[0] - expected).max() * 255))
    return largest


def _by_tier(tier: TorchGenerator, pixels: Floats, spec: ExportSpec) -> Floats:
    """What the tier makes of (channels, h, w), in 16 bits."""
    import cv2

    if not spec.rgb:
        luma = np.rint(pixels[0] * _LEVELS).astype(np.uint16)
        return tier(luma, scale=spec.scale, max_value=_LEVELS)[None].astype(np.float32) / np.float32(_LEVELS)
    colour = YCbCr()
    levels = colour.from_rgb(np.ascontiguousarray(pixels.transpose(1, 2, 0)), max_value=_LEVELS)
    luma, *chroma = as_planes(levels, max_value=_LEVELS, dtype=np.dtype(np.uint16))
    large = tier(luma, scale=spec.scale, max_value=_LEVELS)
    smooth = [cv2.resize(plane, large.shape[::-1], interpolation=cv2.INTER_CUBIC) for plane in chroma]
    rgb = colour.to_rgb((large, smooth[0], smooth[1]), max_value=_LEVELS)  # type: ignore[arg-type]
    return np.asarray(np.clip(rgb, 0, 1).transpose(2, 0, 1), np.float32)


def _run_safetensors(content: bytes, pixels: Floats, spec: ExportSpec) -> Floats:
    """By the tensors and the architecture that the file holds."""
    described = described_generator(safetensors_metadata(content), name="export")
    assert described is not None
    tier = TorchGenerator(described[0], parse_tensors(content, "export"))
    return _by_tier(tier, pixels[0], spec)[None]


def _run_torchscript(content: bytes, pixels: Floats, spec: ExportSpec) -> Floats:
    return run_torchscript(content, pixels)


def _onnx_runner() -> tuple[Run, str]:
    """ONNX Runtime, which other programs use, or OpenVINO where it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return _run_openvino, "openvino"

    def run(content: bytes, pixels: Floats, spec: ExportSpec) -> Floats:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            return np.asarray(session.run(None, {"input": pixels})[0], np.float32)
        except Exception as error:  # its exceptions have no common class
            raise StageError(f"ONNX Runtime cannot run the exported file ({first_line(error)})") from error

    return run, "onnxruntime"


def _run_openvino(content: bytes, pixels: Floats, spec: ExportSpec) -> Floats:
    from deepclarity.models.openvino_no_telemetry import openvino

    core = openvino.Core()
    compiled = core.compile_model(core.read_model(content), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.asarray(compiled(pixels)[0], np.float32)
