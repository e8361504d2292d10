"""Virtual camera sink: makes the repaired video available to other programs as a camera."""

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
    """Open a pyvirtualcam camera for I420 frames of `size` (width, height).

    Raises UsageError if pyvirtualcam is not installed, DeviceError if the device cannot be opened.
    """
    try:
        pyvirtualcam = importlib.import_module("pyvirtualcam")
    except ImportError as error:
        raise UsageError("--virtual-camera needs pyvirtualcam: pip install 'deepclarity[virtual-camera]'") from error
    try:
        device_name = None if device == "auto" else device
        return pyvirtualcam.Camera(*size, fps=rate, fmt=pyvirtualcam.PixelFormat.I420, device=device_name)
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
        open_device: Callable[..., Any] = open_virtual_camera,
    ) -> None:
        """`device`: path of a loopback device, or `auto`. `size`: (width, height) of all frames. `rate`: frames/s."""
        self._camera = open_device(device, size=size, rate=rate)
        self.device = str(self._camera.device)

    def __enter__(self) -> VirtualCamera:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._camera.close()

    def write(self, frame: Frame) -> None:
        """Send one 8-bit 4:2:0 frame."""
        self._camera.send(_to_i420(frame))


def _to_i420(frame: Frame) -> NDArray[np.uint8]:
    """The planes of `frame` as one I420 array, (height * 3 / 2, width) uint8."""
    width, height = frame.size
    samples = np.concatenate([plane.ravel() for plane in frame.planes])
    return np.asarray(samples, np.uint8).reshape(height * 3 // 2, width)
