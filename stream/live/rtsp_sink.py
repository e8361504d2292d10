"""RTSP sink: publishes frames in a child process and reconnects whenever the server is lost.

Frames are encoded in this process; a child process sends them, and is terminated and restarted when it no longer
responds. Meanwhile encoded frames are dropped: a viewer wants the newest.
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
"""Maximum unacknowledged frames: beyond that, the server has stopped reading."""

RTP_AUDIO_CODECS = frozenset(
    {"aac", "ac3", "adpcm_g722", "mp2", "mp3", "opus", "pcm_alaw", "pcm_mulaw", "pcm_s16be", "speex", "vorbis"}
)
"""Audio codecs that are copied unchanged (FFmpeg has an RTP packetizer for them), by FFmpeg's names."""

Written = Callable[[float | None], None]
"""Called with the seconds from a frame's arrival to its sending; None for a placeholder."""


class RtspSink:
    """`with RtspSink(address, …) as sink: sink.write(frame)`. `write` never blocks on the server and never fails."""

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
        """`size`: (width, height). `audio_header`: a NUT file with the parameters of the audio track to send along."""
        self.address = address
        self.state = State.CONNECTING
        self.reason = "connecting"
        self.counts = SinkCounts()
        self._encoder = LiveEncoder(encoding or LiveEncodeSettings(), size=size, rate=rate)
        self._audio_header = audio_header
        self._nut_header: bytes | None = None
        self._audio_until_s = -1
        self._timeout_s = timeout_s
        self._written = written
        self._backoff = Backoff(address)
        self._session = 0
        """Number of the current session with the server; 0 while there is none."""
        self._session_with_key_frame = 0
        """The session that has received a key frame: only this one may receive other frames."""
        self._unacknowledged = 0
        self._logged_reason: str | None = None
        self._failure_reason: str | None = None
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
        """Frames waiting to be sent to the server."""
        return self._unacknowledged

    def write(self, frame: Frame) -> None:
        """Encode `frame` and queue it for sending, if the server is connected."""
        self._aside.check()
        session = self._session
        key = session != self._session_with_key_frame or self._nut_header is None
        for coded in self._encoder.encode(frame, key=key):
            if self._nut_header is None:
                self._nut_header = self._encoder.nut_header(coded, audio=self._audio_header)
            if session and coded.key:
                self._session_with_key_frame = session
            if session and session == self._session_with_key_frame:
                self._leave(_picture(coded, frame))
            else:
                self.counts.dropped += 1

    def write_audio(self, audio: AudioPacket) -> None:
        """Queue an encoded audio packet."""
        pts = round(audio.time_s / RTP_TIME_BASE)
        wanted = self._session and self._session == self._session_with_key_frame and self._audio_header is not None
        if wanted and pts > self._audio_until_s:
            self._audio_until_s = pts
            self._leave(ipc.Message("packet", {"track": "audio", "pts": pts, "key": True, "arrived": 0.0}, audio.data))

    def _leave(self, message: ipc.Message) -> None:
        lost = self._aside.put(message)
        if lost:
            self._count_dropped(lost)
            self._session_with_key_frame = 0  # after a gap, decoding restarts at a key frame

    def _count_dropped(self, lost: list[ipc.Message]) -> None:
        self.counts.dropped += sum(message.fields["track"] == "video" for message in lost)

    # In the thread that communicates with the child process -----------------------------------------------------------

    def _serve(self, aside: BackgroundWorker[ipc.Message]) -> None:
        while not aside.closed:
            if self._nut_header is None:
                aside.get(_TICK_S)
                continue
            try:
                with Subprocess("deepclarity.stream.rtsp.writer_process") as subprocess:
                    self._run_session(subprocess, aside, self._nut_header)
            except SubprocessLostError as error:
                self._handle_loss(f"the writer process is lost: {error}")
            self._count_dropped(aside.clear())
            self.counts.dropped += self._unacknowledged
            self._unacknowledged = 0
            self._wait(aside)

    def _wait(self, aside: BackgroundWorker[ipc.Message]) -> None:
        if aside.closed:
            return
        self._backoff.failed()
        while not aside.closed and not self._backoff.is_due():
            aside.get(_TICK_S)

    def _run_session(self, subprocess: Subprocess, aside: BackgroundWorker[ipc.Message], nut_header: bytes) -> None:
        """Run one session with the server until it fails or the sink is closed."""
        order = {"url": self.address.url, "format": self.address.muxer, "options": self.address.options}
        subprocess.send(ipc.Message("open", order, nut_header))
        if not self._connected(subprocess, aside):
            return
        try:
            self._send_packets(subprocess, aside)
        except SubprocessLostError:
            self._drain_messages(subprocess, 0.5)
            self._handle_loss(self._failure_reason or "the server has stopped reading")

    def _connected(self, subprocess: Subprocess, aside: BackgroundWorker[ipc.Message]) -> bool:
        deadline = time.monotonic() + self._timeout_s
        while time.monotonic() < deadline:
            message = subprocess.inbox.receive(_TICK_S)
            if aside.closed:
                return False
            if message is not None and message.kind == "connected":
                self._connected_to()
                return True
            if message is not None or subprocess.inbox.ended:
                self._handle_loss(str(message.fields.get("reason")) if message else "the writer process has ended")
                return False
        self._handle_loss(f"no answer in {self._timeout_s:g} s")
        return False

    def _send_packets(self, subprocess: Subprocess, aside: BackgroundWorker[ipc.Message]) -> None:
        answered_s = time.monotonic()
        while True:
            message = aside.get(_TICK_S)
            if message is not None:
                self._unacknowledged += message.fields["track"] == "video"
                subprocess.send(message)
            elif aside.closed:
                subprocess.finish()
                return
            if self._drain_messages(subprocess, 0.0) or not self._unacknowledged:
                answered_s = time.monotonic()
            if self._failure_reason is not None or subprocess.inbox.ended:
                self._handle_loss(self._failure_reason or "the writer process has ended")
                return
            if time.monotonic() - answered_s > self._timeout_s or self._unacknowledged > _UNANSWERED:
                self._handle_loss(f"the server has stopped reading ({self._unacknowledged} pictures behind)")
                return

    def _drain_messages(self, subprocess: Subprocess, timeout_s: float) -> bool:
        """Process the child's pending messages; returns whether there were any."""
        any_came = False
        while (message := subprocess.inbox.receive(timeout_s)) is not None:
            any_came = True
            if message.kind == "failed":
                self._failure_reason = str(message.fields["reason"])
                return True
            self._unacknowledged -= 1
            self.counts.written += 1
            arrived_s = message.fields["arrived"]
            self._written(message.fields["at"] - arrived_s if arrived_s else None)
        return any_came

    def _connected_to(self) -> None:
        again = self.counts.connections > 0
        self.counts.connections += 1
        log.info("%s: publishing%s", self.address.label, " again" if again else "")
        self.state, self.reason, self._logged_reason, self._failure_reason = State.CONNECTED, "", None, None
        self._backoff.succeeded()
        self._session = self.counts.connections

    def _handle_loss(self, reason: str) -> None:
        self._session = 0
        self.counts.failures += self.state is not State.CONNECTED
        self.state = State.RECONNECTING if self.counts.connections else State.CONNECTING
        self.reason, self._failure_reason = reason, None
        if reason != self._logged_reason:
            log.warning("%s: %s; trying again", self.address.label, reason)
            self._logged_reason = reason


def _picture(coded: EncodedFrame, frame: Frame) -> ipc.Message:
    arrived = 0.0 if frame.placeholder or frame.arrived_s is None else frame.arrived_s
    fields = {"track": "video", "pts": coded.pts, "key": coded.key, "arrived": arrived}
    return ipc.Message("packet", fields, coded.data)
