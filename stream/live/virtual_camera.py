"""Virtual camera sink: other programs can select the repaired picture as their camera."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import DeviceError, UsageError
from deepclarity.stream.frame import Frame


def open_virtual_camera(device: str, *, size: tuple[int, int], rate: float) -> Any:
    """Open pyvirtualcam's camera for 4:2:0 planes; UsageError without the package, DeviceError without a device."""
    try:
        pyvirtualcam = importlib.import_module("pyvirtualcam")
    except ImportError as error:
        raise UsageError("--virtual-camera needs pyvirtualcam: pip install 'deepclarity[virtual-camera]'") from error
    try:
        chosen = None if device == "auto" else device
        return pyvirtualcam.Camera(*size, fps=rate, fmt=pyvirtualcam.PixelFormat.I420, device=chosen)
    except (RuntimeError, OSError) as error:
        hint = "on Linux load v4l2loopback first, elsewhere install OBS"
        raise DeviceError(f"virtual camera {device}: {str(error).splitlines()[0]} ({hint}).") from error


class VirtualCamera:
    """`with VirtualCamera(device, size=…, rate=…) as camera: camera.write(frame)`."""

    def __init__(
        self,
        device: str,
        *,
        size: tuple[int, int],
        rate: float,
        opened: Callable[..., Any] = open_virtual_camera,
    ) -> None:
        """`device`: a loopback device's path, or `auto`. `size`: (width, height) of all frames."""
        self._camera = opened(device, size=size, rate=rate)
        self.device = str(self._camera.device)

    def __enter__(self) -> VirtualCamera:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._camera.close()

    def write(self, frame: Frame) -> None:
        """Output one 8-bit 4:2:0 frame."""
        self._camera.send(_packed(frame))


def _packed(frame: Frame) -> NDArray[np.uint8]:
    """The planes as I420, one after another: (height * 3 / 2, width)."""
    width, height = frame.size
    intact = np.concatenate([plane.ravel() for plane in frame.planes])
    return np.asarray(intact, np.uint8).reshape(height * 3 // 2, width)
