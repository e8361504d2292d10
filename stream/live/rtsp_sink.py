"""RTSP sink: publishes frames in a child process and reconnects whenever the server is lost.

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

from deepclarity.stream.frame import Frame
from deepclarity.stream.handover import BackgroundWorker
from deepclarity.stream.packets import RTP_TIME_BASE
from deepclarity.stream.rtsp import ipc
from deepclarity.stream.rtsp.address import Address
from deepclarity.stream.rtsp.subprocess import Subprocess, SubprocessLostError

from .backoff import Backoff
from .encode import EncodedFrame, LiveEncoder, LiveEncodeSettings
from .state import AudioPacket, SinkCounts, State

log = logging.getLogger(__name__)

_QUEUE = 120
_TICK_S = 0.1
_UNANSWERED = 60
"""Pictures that may be on their way to the server's socket: more, and it has stopped reading."""

RTP_AUDIO_CODECS = frozenset(
    {"aac", "ac3", "adpcm_g722", "mp2", "mp3", "opus", "pcm_alaw", "pcm_mulaw", "pcm_s16be", "speex", "vorbis"}
)
"""Sound that can be sent as it is (the RTP payloads that FFmpeg writes), by FFmpeg's names."""

Written = Callable[[float | None], None]
"""Called with the seconds from a picture's arrival to its leaving for the server; None for a placeholder."""


class RtspSink:
    """`with RtspSink(address, …) as sink: sink.write(frame)`. Writing never waits and never fails for the server."""

    def __init__(
        self,
        address: Address,
        *,
        size: tuple[int, int],
        rate: Fraction,
        encoding: LiveEncodeSettings | None = None,
        audio_header: bytes | None = None,
        timeout_s: float = 5.0,
        written: Written = lambda age_s: None,
    ) -> None:
        """`size`: (width, height). `audio_header`: a NUT file whose sound is sent along."""
        self.address = address
        self.state = State.CONNECTING
        self.reason = "connecting"
        self.counts = SinkCounts()
        self._encoder = LiveEncoder(encoding or LiveEncodeSettings(), size=size, rate=rate)
        self._audio_header = audio_header
        self._nut_header: bytes | None = None
        self._sound_until = -1
        self._timeout_s = timeout_s
        self._written = written
        self._backoff = Backoff(address)
        self._session = 0
        """Counts sessions with the server; 0 while there is none."""
        self._begun = 0
        """The session that the viewers have had a key frame of, the only one that other pictures may go to."""
        self._on_way = 0
        self._reported: str | None = None
        self._last_words: str | None = None
        self._aside: BackgroundWorker[ipc.Message] = BackgroundWorker(self._serve, size=_QUEUE)
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
        self._aside.check()
        session = self._session
        for coded in self._encoder.encode(frame, key=session != self._begun or self._nut_header is None):
            if self._nut_header is None:
                self._nut_header = self._encoder.nut_header(coded, audio=self._audio_header)
            if session and coded.key:
                self._begun = session
            if session and session == self._begun:
                self._leave(_picture(coded, frame))
            else:
                self.counts.dropped += 1

    def write_audio(self, audio: AudioPacket) -> None:
        """Send coded sound along."""
        pts = round(audio.time_s / RTP_TIME_BASE)
        wanted = self._session and self._session == self._begun and self._audio_header is not None
        if wanted and pts > self._sound_until:
            self._sound_until = pts
            self._leave(ipc.Message("packet", {"track": "audio", "pts": pts, "key": True, "arrived": 0.0}, audio.data))

    def _leave(self, message: ipc.Message) -> None:
        lost = self._aside.put(message)
        if lost:
            self._count_dropped(lost)
            self._begun = 0  # what is shown after the hole begins with a key frame

    def _count_dropped(self, lost: list[ipc.Message]) -> None:
        self.counts.dropped += sum(message.fields["track"] == "video" for message in lost)

    # In the thread that talks to the child ----------------------------------------------------------------------------

    def _serve(self, aside: BackgroundWorker[ipc.Message]) -> None:
        while not aside.closed:
            if self._nut_header is None:
                aside.get(_TICK_S)
                continue
            try:
                with Subprocess("deepclarity.stream.rtsp.writer_process") as subprocess:
                    self._converse(subprocess, aside, self._nut_header)
            except SubprocessLostError as error:
                self._lost(f"the publisher is lost: {error}")
            self._count_dropped(aside.clear())
            self.counts.dropped += self._on_way
            self._on_way = 0
            self._wait(aside)

    def _wait(self, aside: BackgroundWorker[ipc.Message]) -> None:
        if aside.closed:
            return
        self._backoff.failed()
        while not aside.closed and not self._backoff.is_due():
            aside.get(_TICK_S)

    def _converse(self, subprocess: Subprocess, aside: BackgroundWorker[ipc.Message], nut_header: bytes) -> None:
        """One session with the server, until it fails or we are closed."""
        order = {"url": self.address.url, "format": self.address.muxer, "options": self.address.options}
        subprocess.send(ipc.Message("open", order, nut_header))
        if not self._connected(subprocess, aside):
            return
        try:
            self._send_on(subprocess, aside)
        except SubprocessLostError:
            self._hear_out(subprocess, 0.5)
            self._lost(self._last_words or "the server has stopped reading")

    def _connected(self, subprocess: Subprocess, aside: BackgroundWorker[ipc.Message]) -> bool:
        deadline = time.monotonic() + self._timeout_s
        while time.monotonic() < deadline:
            message = subprocess.inbox.take(_TICK_S)
            if aside.closed:
                return False
            if message is not None and message.kind == "connected":
                self._met()
                return True
            if message is not None or subprocess.inbox.ended:
                self._lost(str(message.fields.get("reason")) if message else "the publisher has died")
                return False
        self._lost(f"no answer in {self._timeout_s:g} s")
        return False

    def _send_on(self, subprocess: Subprocess, aside: BackgroundWorker[ipc.Message]) -> None:
        answered_s = time.monotonic()
        while True:
            message = aside.get(_TICK_S)
            if message is not None:
                self._on_way += message.fields["track"] == "video"
                subprocess.send(message)
            elif aside.closed:
                subprocess.finish()
                return
            if self._hear_out(subprocess, 0.0) or not self._on_way:
                answered_s = time.monotonic()
            if self._last_words is not None or subprocess.inbox.ended:
                self._lost(self._last_words or "the publisher has died")
                return
            if time.monotonic() - answered_s > self._timeout_s or self._on_way > _UNANSWERED:
                self._lost(f"the server has stopped reading ({self._on_way} pictures behind)")
                return

    def _hear_out(self, subprocess: Subprocess, timeout_s: float) -> bool:
        """Take the answers that have come; whether there were any."""
        any_came = False
        while (message := subprocess.inbox.take(timeout_s)) is not None:
            any_came = True
            if message.kind == "failed":
                self._last_words = str(message.fields["reason"])
                return True
            self._on_way -= 1
            self.counts.written += 1
            arrived_s = message.fields["arrived"]
            self._written(message.fields["at"] - arrived_s if arrived_s else None)
        return any_came

    def _met(self) -> None:
        again = self.counts.connections > 0
        self.counts.connections += 1
        log.info("%s: publishing%s", self.address.label, " again" if again else "")
        self.state, self.reason, self._reported, self._last_words = State.CONNECTED, "", None, None
        self._backoff.succeeded()
        self._session = self.counts.connections

    def _lost(self, reason: str) -> None:
        self._session = 0
        self.counts.failures += self.state is not State.CONNECTED
        self.state = State.RECONNECTING if self.counts.connections else State.CONNECTING
        self.reason, self._last_words = reason, None
        if reason != self._reported:
            log.warning("%s: %s; trying again", self.address.label, reason)
            self._reported = reason


def _picture(coded: EncodedFrame, frame: Frame) -> ipc.Message:
    arrived = 0.0 if frame.placeholder or frame.arrived_s is None else frame.arrived_s
    fields = {"track": "video", "pts": coded.pts, "key": coded.key, "arrived": arrived}
    return ipc.Message("packet", fields, coded.data)
