"""A reader for tests: a process that plays a stream and reports every picture that it can decode."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple, Self

from tests.rtsp.helper_process import HelperProcess, News
from tests.rtsp.wait import until


class Seen(NamedTuple):
    """A decoded picture."""

    pts_s: float | None
    """When it is to be shown, on the stream's own clock."""
    at: float
    """When it had been decoded, by time.monotonic()."""
    width: int
    height: int
    keyframe: bool
    number: int | None
    """Which of the publisher's pictures it is; None where that cannot be read."""
    brightness: float
    """Mean luma, 0..255."""


class Viewer:
    """Plays `url` from entering to leaving. Ends by itself when the stream does.

    `transport` is `tcp` or `udp`; `patience_s` is how long to go on asking while there is nothing to play yet;
    `timeout_s` how long FFmpeg waits for the network; `codec` is what was found.
    """

    def __init__(
        self,
        url: str,
        *,
        transport: str = "tcp",
        patience_s: float = 0.0,
        timeout_s: float = 5.0,
        format: str = "rtsp",  # noqa: A002
    ) -> None:
        self.url = url
        self.codec: str | None = None
        self.sound: str | None = None
        self.errors: list[str] = []
        """What could not be opened, read or decoded."""
        self.ended = False
        """Whether the stream is over, for whatever reason."""
        self._frames: list[Seen] = []
        self._process = HelperProcess("tests.rtsp.viewer_process", self._hear)
        order = {"url": url, "transport": transport, "patience_s": patience_s, "timeout_s": timeout_s, "format": format}
        self._process.order(order)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def frames(self) -> list[Seen]:
        """All pictures so far."""
        return list(self._frames)

    @property
    def numbers(self) -> list[int]:
        """The numbers that could be read so far."""
        return [seen.number for seen in self._frames if seen.number is not None]

    def wait_for(self, enough: Callable[[list[Seen]], object], *, timeout_s: float = 15.0) -> list[Seen]:
        """The pictures so far, once `enough` says so; AssertionError when it does not in time."""
        until(lambda: enough(self.frames), timeout_s=timeout_s, what=self._state)
        return self.frames

    def wait_for_frames(self, count: int, *, timeout_s: float = 15.0) -> list[Seen]:
        """The next `count` pictures, from now on."""
        before = len(self._frames)
        return self.wait_for(lambda frames: len(frames) >= before + count, timeout_s=timeout_s)[before:]

    def wait_for_end(self, *, timeout_s: float = 15.0) -> None:
        """Wait until the stream is over."""
        until(lambda: self.ended, timeout_s=timeout_s, what=self._state)

    def stop(self) -> None:
        """End it."""
        self._process.end()

    def _state(self) -> str:
        return f"{self.url}: {len(self._frames)} pictures, the last {self._frames[-1:]}; errors {self.errors[-3:]}"

    def _hear(self, news: News) -> None:
        if "codec" in news:
            self.codec, self.sound = news["codec"], news["sound"]
        elif "error" in news:
            self.errors.append(news["error"])
        elif "ended" in news:
            self.ended = True
        else:
            self._frames.append(Seen(**news))
