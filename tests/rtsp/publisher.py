"""A camera for tests: a process that publishes a clip in real time, each picture numbered."""

from __future__ import annotations

import functools
import signal
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from deepclarity.pipelines.demo.scene import paint, pan, pixelate
from tests.rtsp.frame_numbers import LIMIT
from tests.rtsp.helper_process import HelperProcess, Message
from tests.rtsp.wait import wait_until

_PICTURES = 32
_STOP_TIMEOUT_S = 2.0


class Publisher:
    """Publishes to `url` (over TCP) within a `with` block, and reconnects if the server goes away.

    Parameters
    ----------
    size, rate
        Picture size with even sides; pictures per second.
    codec
        `libx264` or `libx265`, or another encoder of PyAV.
    announced_rate
        Frame rate declared in the stream, if it differs.
    block_px
        Block size for pixelating every picture; the number stays readable.
    with_audio
        Adds an AAC track.
    gop
        Pictures between key frames.
    """

    def __init__(
        self,
        url: str,
        *,
        size: tuple[int, int] = (640, 360),
        rate: float = 25,
        codec: str = "libx264",
        announced_rate: int | None = None,
        block_px: float | None = None,
        with_audio: bool = False,
        gop: int = 15,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.url = url
        self.sent: dict[int, float] = {}
        """Sending time of each picture by its number, from time.monotonic()."""
        self.session_count = 0
        """Number of sessions started."""
        self.errors: list[str] = []
        self._block_px, self._frozen = block_px, False
        self._command: Message = {
            "url": url,
            "rate": rate,
            "announced_rate": announced_rate or round(rate),
            "codec": codec,
            "with_audio": with_audio,
            "gop": gop,
            "options": dict(options or {}),
            "new_session": True,
        }
        self._process = HelperProcess("tests.rtsp.publisher_process", self._on_message)
        self._show(size)

    def __enter__(self) -> Self:
        """Start the publisher and wait for its first picture."""
        try:
            self.wait_for_frames(1)
        except AssertionError:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def wait_for_frames(self, count: int, *, timeout_s: float = 15.0) -> None:
        """Wait until `count` more pictures have been sent."""
        goal = len(self.sent) + count
        wait_until(
            lambda: len(self.sent) >= goal,
            timeout_s=timeout_s,
            what=lambda: f"{self.url}: {len(self.sent)} of {goal} pictures sent; errors: {self.errors[-3:]}",
        )

    def resize(self, size: tuple[int, int], *, new_session: bool = True) -> None:
        """Continue with pictures of another size, in a new session or the current one."""
        assert not self._frozen, "a frozen publisher cannot be resized"
        self._command["new_session"] = new_session
        self._show(size)

    def freeze(self) -> None:
        """Suspend the process; its connection stays open."""
        self._process.send_signal(signal.SIGSTOP)
        self._frozen = True

    def unfreeze(self) -> None:
        """Resume the process with the current picture, as a camera does."""
        self._process.send_signal(signal.SIGCONT)
        self._frozen = False

    def stop(self) -> None:
        """Close the session and end; a process that cannot is killed."""
        self._process.send_command({"stop": True})
        self._process.stop(timeout_s=0.0 if self._frozen else _STOP_TIMEOUT_S)

    def kill(self) -> None:
        """End without closing the session."""
        self._process.stop()

    def latency_s(self, number: int, arrived: float) -> float:
        """Latency of a picture, from its number and arrival time."""
        return arrived - self.sent[number]

    def _show(self, size: tuple[int, int]) -> None:
        pictures = _pictures(size, self._block_px)
        self._process.send_command({**self._command, "size": size, "count": len(pictures)}, pictures.tobytes())

    def _on_message(self, message: Message) -> None:
        if "sent" in message:
            self.sent[message["sent"] % LIMIT] = message["at"]
        elif "error" in message:
            self.errors.append(message["error"])
        else:
            self.session_count += 1


@functools.cache
def _harbour() -> NDArray[np.uint8]:
    return paint(1280, 540)


@functools.cache
def _pictures(size: tuple[int, int], block_px: float | None) -> NDArray[np.uint8]:
    """A camera pan over the harbour and back: yuv420p, (count, height * 3 / 2, width)."""
    there = [
        cv2.cvtColor(pixelate(picture, block_px=block_px) if block_px else picture, cv2.COLOR_RGB2YUV_I420)
        for picture in pan(_harbour(), count=_PICTURES, width=size[0], height=size[1])
    ]
    return np.asarray([*there, *there[-2:0:-1]], np.uint8)
