"""Preview window: before and after side by side, with a status text."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import UsageError
from deepclarity.stream.frame import Frame, Planes
from deepclarity.stream.info import Colour
from deepclarity.stream.planes import rgb_of

from .normalize import LIVE_PIXEL_FORMAT

_TITLE = "DeepClarity"
_MAX_WIDTH_PX = 1280
_SPLIT_STEP = 0.05
_PROBE_TIMEOUT_S = 15.0
_QUIT_KEYS, _LEFT_KEYS, _RIGHT_KEYS = {ord("q"), 27}, {ord("a"), ord(","), 81, 2}, {ord("d"), ord("."), 83, 3}
_WHITE, _BLACK = (245, 245, 245), (20, 20, 20)


class Window:
    """`with Window() as window: window.show(frame, before, status="30 fps")`, from the main thread.

    Dragging the mouse or pressing `a` and `d` (or `,` and `.`) moves the split; `q` or Escape closes the window.
    Raises UsageError without a display.
    """

    def __init__(self) -> None:
        if not display_works():
            raise UsageError("no display for a window. Add --no-view, and -o FILE to save the repaired video.")
        self.split = 0.5
        """Horizontal position of the split between before and after, 0..1."""
        self.closed = False
        """Whether the user has closed the window."""
        self.picture: NDArray[np.uint8] | None = None
        """The picture on screen: (height, width, 3) BGR."""

    def __enter__(self) -> Window:
        os.environ.setdefault("QT_LOGGING_RULES", "*.warning=false")  # silences Qt's warnings about fonts
        cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        cv2.resizeWindow(_TITLE, _MAX_WIDTH_PX, _MAX_WIDTH_PX * 9 // 16)
        cv2.setMouseCallback(_TITLE, self._handle_mouse)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        cv2.destroyWindow(_TITLE)
        cv2.waitKey(1)  # lets the window system process the request

    def show(self, after: Frame, before: Frame, *, colour: Colour, status: str) -> None:
        """Show `before` left of the split, `after` right of it, and the text `status` in the top left corner.

        `colour`: colour tags of both frames.
        """
        self.picture = compare(before.planes, after.planes, colour=colour, split=self.split, status=status)
        cv2.imshow(_TITLE, self.picture)
        self._handle_key(cv2.waitKey(1))
        if cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1:
            self.closed = True

    def _handle_key(self, code: int) -> None:
        code &= 0xFF
        if code in _QUIT_KEYS:
            self.closed = True
        elif code in _LEFT_KEYS:
            self.split = max(0.0, self.split - _SPLIT_STEP)
        elif code in _RIGHT_KEYS:
            self.split = min(1.0, self.split + _SPLIT_STEP)

    def _handle_mouse(self, event: int, x: int, y: int, flags: int, data: object) -> None:
        if self.picture is not None and (flags & cv2.EVENT_FLAG_LBUTTON or event == cv2.EVENT_LBUTTONDOWN):
            self.split = min(1.0, max(0.0, x / self.picture.shape[1]))


def has_display() -> bool:
    """Whether the environment provides a display."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@functools.cache
def display_works() -> bool:
    """Whether a window can be opened. Tried in a child process: Qt aborts the process if the display is gone."""
    if not has_display():
        return False
    script = "import cv2; cv2.namedWindow('probe'); cv2.waitKey(1); cv2.destroyAllWindows()"
    with contextlib.suppress(subprocess.TimeoutExpired, OSError):
        result = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, timeout=_PROBE_TIMEOUT_S, check=False
        )
        return result.returncode == 0
    return False


def compare(before: Planes, after: Planes, *, colour: Colour, split: float, status: str) -> NDArray[np.uint8]:
    """A comparison picture, (height, width, 3) BGR, at most 1280 wide: `before` left of `split` (0..1), `after` right.

    Both are limited-range 4:2:0 with the colour matrix of `colour`.
    """
    height, width = after[0].shape
    scale = min(1.0, _MAX_WIDTH_PX / width)
    size = _even(width * scale), _even(height * scale)
    right = _bgr(after, size, colour, cv2.INTER_AREA)
    left = _bgr(before, _fit(before[0].shape, size), colour, cv2.INTER_NEAREST)
    edge = round(split * size[0])
    letterboxed = np.zeros_like(right)
    top, side = (size[1] - left.shape[0]) // 2, (size[0] - left.shape[1]) // 2
    letterboxed[top : top + left.shape[0], side : side + left.shape[1]] = left
    right[:, :edge] = letterboxed[:, :edge]
    if 0 < edge < size[0]:
        right[:, max(0, edge - 1) : edge + 1] = _WHITE
    for text, x in (("before", edge - 80), ("after", edge + 14)):
        _draw_text(right, text, (x, size[1] - 16))
    _draw_text(right, status, (14, 30))
    return right


def _bgr(planes: Planes, size: tuple[int, int], colour: Colour, interpolation: int) -> NDArray[np.uint8]:
    """`planes` resized to `size` (width, height; even) as BGR, (height, width, 3)."""
    half = size[0] // 2, size[1] // 2
    luma = cv2.resize(planes[0], size, interpolation=interpolation)
    blue, red = (cv2.resize(plane, half, interpolation=cv2.INTER_LINEAR) for plane in planes[1:])
    small: Planes = np.asarray(luma, np.uint8), np.asarray(blue, np.uint8), np.asarray(red, np.uint8)
    return np.ascontiguousarray(rgb_of(small, LIVE_PIXEL_FORMAT, colour)[:, :, ::-1])


def _fit(shape: tuple[int, ...], size: tuple[int, int]) -> tuple[int, int]:
    """Scale `shape` (height, width) to fit into `size` (width, height), keeping its aspect ratio; both even."""
    scale = min(size[0] / shape[1], size[1] / shape[0])
    return _even(shape[1] * scale), _even(shape[0] * scale)


def _even(length: float) -> int:
    return max(2, round(length / 2) * 2)


def _draw_text(picture: NDArray[np.uint8], text: str, origin: tuple[int, int]) -> None:
    ascii_text = text.encode("ascii", "replace").decode()
    for bgr, thickness in ((_BLACK, 3), (_WHITE, 1)):
        cv2.putText(picture, ascii_text, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.6, bgr, thickness, cv2.LINE_AA)
