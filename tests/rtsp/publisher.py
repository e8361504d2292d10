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
from tests.rtsp.helper_process import HelperProcess, News
from tests.rtsp.wait import until

_PICTURES = 32
_STOP_S = 2.0


class Publisher:
    """Publishes to `url` (over TCP) from entering to leaving, and again and again if the server goes away.

    Parameters
    ----------
    size, rate
        Of the pictures; even sides, pictures a second.
    codec
        `libx264` or `libx265`, or another encoder of PyAV.
    announced_rate
        What the stream claims its rate to be, if not the truth.
    block_px
        Pixelates every picture with blocks of that size; the number stays readable.
    tone
        Adds AAC sound.
    gop
        Pictures from one keyframe to the next.
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
        tone: bool = False,
        gop: int = 15,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.url = url
        self.sent: dict[int, float] = {}
        """When each picture was sent, by number and time.monotonic()."""
        self.openings = 0
        """How many sessions it has begun."""
        self.errors: list[str] = []
        self._block_px, self._frozen = block_px, False
        self._order: News = {
            "url": url,
            "rate": rate,
            "announced_rate": announced_rate or round(rate),
            "codec": codec,
            "tone": tone,
            "gop": gop,
            "options": dict(options or {}),
            "new_session": True,
        }
        self._process = HelperProcess("tests.rtsp.publisher_process", self._hear)
        self._show(size)

    def __enter__(self) -> Self:
        """The publisher, once it has sent its first picture."""
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
        until(lambda: len(self.sent) >= goal, timeout_s=timeout_s, what=lambda: f"{self.url}: sent {len(self.sent)}, "
              f"of {goal}; errors: {self.errors[-3:]}")  # fmt: skip

    def resize(self, size: tuple[int, int], *, new_session: bool = True) -> None:
        """Go on with pictures of another size, in a new session or within the present one."""
        assert not self._frozen, "a frozen publisher takes no orders"
        self._order["new_session"] = new_session
        self._show(size)

    def freeze(self) -> None:
        """Stop the process where it is; its connection stays open."""
        self._process.signal(signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        """Let it go on, with the picture of the moment, as a camera does."""
        self._process.signal(signal.SIGCONT)
        self._frozen = False

    def stop(self) -> None:
        """Take leave of the server and end; a process that cannot is killed."""
        self._process.order({"stop": True})
        self._process.end(wait_s=0.0 if self._frozen else _STOP_S)

    def kill(self) -> None:
        """End without a word."""
        self._process.end()

    def latency_s(self, number: int, arrived: float) -> float:
        """How long a picture was under way, by its number and when it arrived."""
        return arrived - self.sent[number]

    def _show(self, size: tuple[int, int]) -> None:
        pictures = _pictures(size, self._block_px)
        self._process.order({**self._order, "size": size, "count": len(pictures)}, pictures.tobytes())

    def _hear(self, news: News) -> None:
        if "sent" in news:
            self.sent[news["sent"] % LIMIT] = news["at"]
        elif "error" in news:
            self.errors.append(news["error"])
        else:
            self.openings += 1


@functools.cache
def _harbour() -> NDArray[np.uint8]:
    return paint(1280, 540)


@functools.cache
def _pictures(size: tuple[int, int], block_px: float | None) -> NDArray[np.uint8]:
    """A camera's move over the harbour and back: yuv420p, (count, height * 3 / 2, width)."""
    there = [
        cv2.cvtColor(pixelate(picture, block_px=block_px) if block_px else picture, cv2.COLOR_RGB2YUV_I420)
        for picture in pan(_harbour(), count=_PICTURES, width=size[0], height=size[1])
    ]
    return np.asarray([*there, *there[-2:0:-1]], np.uint8)
