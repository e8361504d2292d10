"""A viewer for tests: a process that plays a stream and reports every decoded picture."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple, Self

from tests.rtsp.helper_process import HelperProcess, Message
from tests.rtsp.wait import wait_until


class ViewedFrame(NamedTuple):
    """A decoded picture."""

    pts_s: float | None
    """Presentation time on the stream's clock."""
    at: float
    """Time of decoding, from time.monotonic()."""
    width: int
    height: int
    keyframe: bool
    number: int | None
    """Number of the publisher's picture; None if unreadable."""
    brightness: float
    """Mean luma, 0..255."""


class Viewer:
    """Plays `url` within a `with` block. Ends when the stream does.

    `transport` is `tcp` or `udp`; `open_timeout_s` is how long opening is retried while nothing is published yet;
    `timeout_s` is FFmpeg's network timeout; `codec` and `audio_codec` are the codecs found.
    """

    def __init__(
        self,
        url: str,
        *,
        transport: str = "tcp",
        open_timeout_s: float = 0.0,
        timeout_s: float = 5.0,
        format: str = "rtsp",  # noqa: A002
    ) -> None:
        self.url = url
        self.codec: str | None = None
        self.audio_codec: str | None = None
        self.errors: list[str] = []
        """Errors of opening, reading or decoding."""
        self.ended = False
        """Whether the stream has ended, for any reason."""
        self._frames: list[ViewedFrame] = []
        self._process = HelperProcess("tests.rtsp.viewer_process", self._on_message)
        command = {
            "url": url,
            "transport": transport,
            "open_timeout_s": open_timeout_s,
            "timeout_s": timeout_s,
            "format": format,
        }
        self._process.send_command(command)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def frames(self) -> list[ViewedFrame]:
        """All pictures so far."""
        return list(self._frames)

    @property
    def numbers(self) -> list[int]:
        """All readable numbers so far."""
        return [seen.number for seen in self._frames if seen.number is not None]

    def wait_for(
        self, condition: Callable[[list[ViewedFrame]], object], *, timeout_s: float = 15.0
    ) -> list[ViewedFrame]:
        """Wait for `condition` to be true and return the pictures so far; AssertionError after the timeout."""
        wait_until(lambda: condition(self.frames), timeout_s=timeout_s, what=self._state)
        return self.frames

    def wait_for_frames(self, count: int, *, timeout_s: float = 15.0) -> list[ViewedFrame]:
        """Wait for the next `count` pictures."""
        before = len(self._frames)
        return self.wait_for(lambda frames: len(frames) >= before + count, timeout_s=timeout_s)[before:]

    def wait_for_end(self, *, timeout_s: float = 15.0) -> None:
        """Wait for the end of the stream."""
        wait_until(lambda: self.ended, timeout_s=timeout_s, what=self._state)

    def stop(self) -> None:
        """Stop the viewer."""
        self._process.stop()

    def _state(self) -> str:
        return f"{self.url}: {len(self._frames)} pictures, the last {self._frames[-1:]}; errors {self.errors[-3:]}"

    def _on_message(self, message: Message) -> None:
        if "codec" in message:
            self.codec, self.audio_codec = message["codec"], message["audio_codec"]
        elif "error" in message:
            self.errors.append(message["error"])
        elif "ended" in message:
            self.ended = True
        else:
            self._frames.append(ViewedFrame(**message))
