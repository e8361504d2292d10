"""Frames to an RTSP server, for as long as there are any, whatever becomes of the server.

Coding is done here, at once; the talking by a process of its own, which is ended and begun again when it no longer
answers. Meanwhile coded pictures are thrown away: a viewer wants the newest.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from fractions import Fraction
from types import TracebackType

from . import wire
from .address import Address
from .backoff import Backoff
from .child import Child
from .frame import Frame
from .handover import Aside
from .live_encode import Coded, LiveEncoder, LiveEncoding
from .live_picture import TIME_BASE
from .live_state import SinkCounts, SoundPacket, State

log = logging.getLogger(__name__)

_QUEUE = 120
_TICK_S = 0.1
_UNANSWERED = 60
"""Pictures that may be on their way to the server's socket: more, and it has stopped reading."""

SOUND_CARRIED = frozenset(
    {"aac", "ac3", "adpcm_g722", "mp2", "mp3", "opus", "pcm_alaw", "pcm_mulaw", "pcm_s16be", "speex", "vorbis"}
)
"""Sound that can be sent as it is (the RTP payloads that FFmpeg writes), by FFmpeg's names."""

Written = Callable[[float], None]
"""Called with the seconds from a picture's arrival to its leaving for the server."""


class RtspSink:
    """`with RtspSink(address, …) as sink: sink.write(frame)`. Writing never waits and never fails for the server."""

    def __init__(
        self,
        address: Address,
        *,
        size: tuple[int, int],
        rate: Fraction,
        encoding: LiveEncoding | None = None,
        source_sample: bytes | None = None,
        timeout_s: float = 5.0,
        written: Written = lambda seconds: None,
    ) -> None:
        """`size`: (width, height). `source_sample`: a NUT file whose sound is sent along."""
        self.address = address
        self.state = State.CONNECTING
        self.reason = "connecting"
        self.counts = SinkCounts()
        self.busy_s = 0.0
        self.warnings: list[str] = []
        self._encoder = LiveEncoder(encoding or LiveEncoding(), size=size, rate=rate)
        self._source_sample = source_sample
        self._sample: bytes | None = None
        self._sound_until = -1
        self._timeout_s = timeout_s
        self._written = written
        self._backoff = Backoff(address)
        self._wants_key = False
        self._open = False
        self._on_way = 0
        self._told: str | None = None
        self._aside: Aside[wire.Message] = Aside(self._serve, size=_QUEUE)
        self._stack = ExitStack()

    def __enter__(self) -> RtspSink:
        self._stack.enter_context(self._aside)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        self._encoder.close()

    @property
    def waiting(self) -> int:
        """Pictures on their way to the server."""
        return self._on_way

    def write(self, frame: Frame) -> None:
        """Code `frame` and leave it to be sent, if there is anybody to send it to."""
        began = time.perf_counter()
        key, self._wants_key = self._wants_key or self._sample is None, False
        for coded in self._encoder.encode(frame, key=key):
            if self._sample is None:
                self._sample = self._encoder.sample(coded, sound=self._source_sample)
                self._wants_key = True
            self._leave(_picture(coded, frame))
        self.busy_s += time.perf_counter() - began

    def hear(self, sound: SoundPacket) -> None:
        """Send coded sound along."""
        pts = round(sound.time_s / TIME_BASE)
        if self._open and self._source_sample is not None and pts > self._sound_until:
            self._sound_until = pts
            body = {"track": "audio", "pts": pts, "key": True, "arrived": 0.0}
            self._aside.put(wire.Message("packet", body, sound.data))

    def _leave(self, message: wire.Message) -> None:
        if not self._open:
            self.counts.dropped += 1
        elif not self._aside.put(message):
            self.counts.dropped += 1
            self._wants_key = True

    # In the thread that talks to the child ----------------------------------------------------------------------------

    def _serve(self, aside: Aside[wire.Message]) -> None:
        while not aside.closed:
            if self._sample is None:
                aside.take(_TICK_S)
                continue
            with Child("deepclarity.stream.publish") as child:
                self._converse(child, aside, self._sample)
            self._open = False
            aside.empty()
            self._on_way = 0
            self._wait(aside)

    def _wait(self, aside: Aside[wire.Message]) -> None:
        if aside.closed:
            return
        self._backoff.failed()
        while not aside.closed and not self._backoff.is_over():
            aside.take(_TICK_S)

    def _converse(self, child: Child, aside: Aside[wire.Message], sample: bytes) -> None:
        """One session with the server, until it fails or we are closed."""
        order = {"url": self.address.url, "format": self.address.muxer, "options": self.address.options}
        child.send(wire.Message("open", order, sample))
        if not self._connected(child, aside):
            return
        try:
            self._send_on(child, aside)
        except TimeoutError:
            self._lost("the server has stopped reading")
        except BrokenPipeError:
            self._hear_out(child, 0.5)
            self._lost(self._last_words or "the connection broke")

    _last_words: str | None = None

    def _connected(self, child: Child, aside: Aside[wire.Message]) -> bool:
        deadline = time.monotonic() + self._timeout_s
        while time.monotonic() < deadline and not aside.closed:
            message = child.inbox.take(_TICK_S)
            if message is not None and message.kind == "connected":
                self._met()
                return True
            if message is not None or child.inbox.ended:
                self._lost(str(message.body.get("reason")) if message else "the publisher died")
                return False
        self._lost(f"no answer within {self._timeout_s:g} s")
        return False

    def _send_on(self, child: Child, aside: Aside[wire.Message]) -> None:
        answered_s = time.monotonic()
        while True:
            message = aside.take(_TICK_S)
            if message is not None:
                self._hand(child, message)
            elif aside.closed:
                child.finish()
                return
            if self._hear_out(child, 0.0) or not self._on_way:
                answered_s = time.monotonic()
            if self._last_words is not None or child.inbox.ended:
                self._lost(self._last_words or "the publisher died")
                return
            if time.monotonic() - answered_s > self._timeout_s or self._on_way > _UNANSWERED:
                self._lost(f"the server has stopped reading ({self._on_way} pictures behind)")
                return

    def _hand(self, child: Child, message: wire.Message) -> None:
        if message.body["track"] == "video":
            self._on_way += 1
        child.send(message)

    def _hear_out(self, child: Child, timeout_s: float) -> bool:
        """Take the answers that have come; whether there were any."""
        any_came = False
        while (message := child.inbox.take(timeout_s)) is not None:
            any_came = True
            if message.kind == "failed":
                self._last_words = str(message.body["reason"])
                return True
            self._on_way -= 1
            self.counts.written += 1
            if message.body["arrived"]:
                self._written(message.body["at"] - message.body["arrived"])
        return any_came

    def _met(self) -> None:
        again = self.counts.connections > 0
        self.counts.connections += 1
        log.info("%s: publishing%s", self.address.label, " again" if again else "")
        self.state, self.reason, self._told, self._last_words = State.CONNECTED, "", None, None
        self._backoff.succeeded()
        self._wants_key = True
        self._open = True

    def _lost(self, reason: str) -> None:
        self._open = False
        self.counts.failures += self.state is not State.CONNECTED
        self.state = State.RECONNECTING if self.counts.connections else State.CONNECTING
        self.reason, self._last_words = reason, None
        if reason != self._told:
            log.warning("%s: %s; trying again", self.address.label, reason)
            self._told = reason


def _picture(coded: Coded, frame: Frame) -> wire.Message:
    arrived = 0.0 if frame.stands_in or frame.arrived_s is None else frame.arrived_s
    return wire.Message(
        "packet", {"track": "video", "pts": coded.pts, "key": coded.key, "arrived": arrived}, coded.data
    )
