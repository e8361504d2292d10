"""ONNX models on an NVIDIA GPU, run by ONNX Runtime; OpenVINO reads and tests them first, on the CPU."""

from __future__ import annotations

import numpy as np

from deepclarity.errors import DeviceError, WeightsError
from deepclarity.models.backends.checks import first_line

from .network import PROBE_PX, Pixels, check_output, probe_picture
from .onnx_network import OnnxNetwork

_PROVIDER = "CUDAExecutionProvider"
_MAX_DIFFERENCE = 1 / 255
"""Between both back ends, on the test picture."""
_OUT_OF_MEMORY = ("memory", "alloc")


class CudaOnnxNetwork(OnnxNetwork):
    """The same as `OnnxNetwork`, on a GPU."""

    def __init__(self, content: bytes, *, name: str, device: str = "cuda", provider: str = _PROVIDER) -> None:
        """`device`: `cuda` or `cuda:N`; `provider`: ONNX Runtime's name of what runs it.

        Raises DeviceError without ONNX Runtime for CUDA, or if the GPU computes something else than the CPU, and
        otherwise what `OnnxNetwork` raises.
        """
        super().__init__(content, name=name)
        try:
            import onnxruntime
        except ImportError as error:
            raise _no_runtime(name) from error
        if provider not in onnxruntime.get_available_providers():
            raise _no_runtime(name)
        index = device.partition(":")[2]
        options = {"device_id": index} if index and provider == _PROVIDER else {}
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(content, settings, providers=[(provider, options)])
        except Exception as error:  # ONNX Runtime has an exception for each status of its own
            raise WeightsError(f"{name}: ONNX Runtime cannot read it ({first_line(error)}).") from error
        if self._session.get_providers()[0] != provider:  # it falls back to the CPU without an error
            raise DeviceError(f"{name}: ONNX Runtime cannot use '{device}'. Check the driver, or use --device cpu.")
        self._input = self._session.get_inputs()[0].name
        self.backend = f"onnxruntime {device.partition(':')[0]} fp32"
        picture = probe_picture(self.info.channels, self.fixed_size or (PROBE_PX, PROBE_PX))
        expected, found = super().__call__(picture), self(picture)
        if float(np.abs(expected - found).max()) > _MAX_DIFFERENCE:
            raise DeviceError(f"{name}: '{device}' computes something else than the CPU. Use --device cpu.")

    def __call__(self, pixels: Pixels) -> Pixels:
        """Enlarge (channels, h, w) in 0..1 to (channels, h * scale, w * scale), clamped to 0..1."""
        channels, height, width = pixels.shape
        try:
            large = self._session.run(None, {self._input: np.ascontiguousarray(pixels[None])})[0][0]
        except Exception as error:  # as above
            if any(word in str(error).lower() for word in _OUT_OF_MEMORY):
                raise MemoryError(first_line(error)) from error
            raise DeviceError(f"{self.info.name}: failed on {width}x{height} pixels ({first_line(error)})") from error
        scale = self.info.scale
        return check_output(self.info.name, large, expected=(channels, height * scale, width * scale))

    def close(self) -> None:
        """Release the session; a later call fails."""
        super().close()
        del self._session


def _no_runtime(name: str) -> DeviceError:
    return DeviceError(
        f"{name}: ONNX models run on a GPU by ONNX Runtime for CUDA, which is not installed here: "
        "pip install onnxruntime-gpu, or use --device cpu, or a .safetensors file."
    )
