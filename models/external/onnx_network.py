"""ONNX models, run by OpenVINO on the CPU."""

from __future__ import annotations

import io
import math

from deepclarity.errors import DeviceError, WeightsError
from deepclarity.models.backends.checks import first_line
from deepclarity.models.openvino_no_telemetry import openvino

from .graph import Graph
from .memory import LIVE_LAYERS, free_memory_bytes
from .network import (
    PROBE_PX,
    NetworkInfo,
    Pixels,
    check_channels,
    check_finite_output,
    check_output,
    licence_of,
    measured_scale,
    probe_picture,
)
from .onnx_metadata import onnx_metadata

_SMALLEST_PX = 8


class OnnxNetwork:
    """Runs one graph with one picture input, (1, channels, h, w) in 0..1, and one output of that layout."""

    tiled = True

    def __init__(self, content: bytes, *, name: str) -> None:
        """Raises WeightsError for a file that is no super-resolution model, or does not do what it claims."""
        if b"\x0a\x08location" in content:
            raise WeightsError(f"{name}: keeps its weights in another file, which is not loaded. Save it as one file.")
        self.backend = "openvino onnx f32"
        self._core = openvino.Core()
        self._model = self._read(content, name)
        self._graph = Graph(self._model, self._core)
        inputs = _length(self._model.inputs[0], 1) or 0
        channels = check_channels(name, inputs, _length(self._model.outputs[0], 1) or inputs)
        self.fixed_size = self._fixed_size(name)
        size = self.fixed_size or (PROBE_PX, PROBE_PX)
        try:
            large = self._graph(probe_picture(channels, size))
        except Exception as error:  # a damaged graph can make OpenVINO fail in any way
            raise WeightsError(f"{name}: OpenVINO cannot run it ({first_line(error)}).") from error
        metadata = onnx_metadata(content)
        claimed = int(metadata["scale"]) if metadata.get("scale", "").isdecimal() else None
        scale = measured_scale(name, (channels, *size), large.shape, claimed=claimed)
        check_finite_output(name, large)
        self.bytes_per_px = max(self._graph.widest_bytes, large.nbytes) * LIVE_LAYERS / (size[0] * size[1])
        self.info = NetworkInfo(
            name=name,
            architecture=metadata.get("architecture") or "ONNX",
            scale=scale,
            channels=channels,
            parameters=_parameters(self._model),
            licence=licence_of(metadata),
        )

    def __call__(self, pixels: Pixels) -> Pixels:
        """Enlarge (channels, h, w) in 0..1 to (channels, h * scale, w * scale), clamped to 0..1."""
        channels, height, width = pixels.shape
        try:
            large = self._graph(pixels)
        except (RuntimeError, UnicodeDecodeError) as error:
            if "alloc" in str(error) or "memory" in str(error):
                raise MemoryError(first_line(error)) from error
            raise DeviceError(f"{self.info.name}: failed on {width}x{height} pixels ({first_line(error)})") from error
        scale = self.info.scale
        return check_output(self.info.name, large, expected=(channels, height * scale, width * scale))

    def available_bytes(self) -> int:
        """Free memory of this machine, in bytes."""
        return free_memory_bytes()

    def close(self) -> None:
        """Release the compiled graphs; a later call compiles again."""
        self._graph.close()

    def _read(self, content: bytes, name: str) -> openvino.Model:
        try:
            model = self._core.read_model(io.BytesIO(content))
        except Exception as error:  # its messages may even be no valid text
            raise WeightsError(f"{name}: not an ONNX model that OpenVINO can read ({first_line(error)}).") from error
        inputs, outputs = model.inputs, model.outputs
        if len(inputs) != 1 or len(outputs) != 1:
            raise WeightsError(f"{name}: has {len(inputs)} inputs and {len(outputs)} outputs; one of each is needed.")
        shape, kind = inputs[0].get_partial_shape(), inputs[0].get_element_type()
        if shape.rank.is_dynamic or shape.rank.get_length() != 4 or shape[1].is_dynamic or not kind.is_real():
            raise WeightsError(
                f"{name}: takes {kind} {shape}; pictures of floats (1, channels, height, width) are needed."
            )
        if (shape[0].is_static and shape[0].get_length() != 1) or shape[1].get_length() > 4:
            raise WeightsError(f"{name}: takes {shape}; one picture (1, channels, height, width) at a time is needed.")
        return model

    def _fixed_size(self, name: str) -> tuple[int, int] | None:
        height, width = (_length(self._model.inputs[0], axis) for axis in (2, 3))
        if height is None and width is None:
            return None
        if height is None or width is None or min(height, width) < _SMALLEST_PX or height * width > 2**24:
            raise WeightsError(
                f"{name}: takes {self._model.inputs[0].get_partial_shape()}; free both sides, or fix both."
            )
        return height, width


def _length(port: openvino.Output, axis: int) -> int | None:
    """The length of one axis of an input or output; None if it is free."""
    shape = port.get_partial_shape()
    if shape.rank.is_dynamic or shape.rank.get_length() <= axis or shape[axis].is_dynamic:
        return None
    return int(shape[axis].get_length())


def _parameters(model: openvino.Model) -> int:
    """Number of stored values of floating point."""
    constants = (op for op in model.get_ops() if op.get_type_name() == "Constant")
    return sum(math.prod(op.get_output_shape(0)) for op in constants if op.get_output_element_type(0).is_real())
