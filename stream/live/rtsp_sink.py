"""RTSP sink: encodes frames, publishes them from a child process, and reconnects whenever the connection is lost.

A child process that no longer responds is terminated and restarted. Until the server is connected again, encoded
frames are dropped, because viewers want the newest.
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

_QUEUE_SIZE = 120
_POLL_S = 0.1
_MAX_UNACKNOWLEDGED = 60
"""Maximum number of unacknowledged frames; with more, the server has stopped reading."""

RTP_AUDIO_CODECS = frozenset(
    {"aac", "ac3", "adpcm_g722", "mp2", "mp3", "opus", "pcm_alaw", "pcm_mulaw", "pcm_s16be", "speex", "vorbis"}
)
"""Audio codecs, by FFmpeg's names, that can be copied unchanged because FFmpeg has an RTP packetizer for them."""

OnWritten = Callable[[float | None], None]
"""Callback after a frame was sent, with its age in seconds since its arrival; None for a placeholder."""


class RtspSink:
    """`with RtspSink(address, …) as sink: sink.write(frame)`. Server failures never block `write` or make it raise."""

    def __init__(
        self,
        address: Address,
        *,
        size: tuple[int, int],
        rate: Fraction,
        encoding: LiveEncodeSettings | None = None,
        audio_header: bytes | None = None,
        timeout_s: float = 5.0,
        on_written: OnWritten = lambda age_s: None,
    ) -> None:
        """`size`: (width, height), both even. `rate`: frames per second, for rate control only.

        `audio_header`: a NUT file with the parameters of the audio track that `write_audio` sends.
        """
        self.address = address
        self.state = State.CONNECTING
        self.reason = "connecting"
        self.counts = SinkCounts()
        self._encoder = LiveEncoder(encoding or LiveEncodeSettings(), size=size, rate=rate)
        self._audio_header = audio_header
        self._nut_header: bytes | None = None
        self._last_audio_pts = -1
        self._timeout_s = timeout_s
        self._on_written = on_written
        self._backoff = Backoff(address)
        self._session = 0
        """Number of the current session with the server; 0 while there is none."""
        self._session_with_key_frame = 0
        """The session that was sent a key frame: other frames are sent to this session only."""
        self._unacknowledged = 0
        self._logged_reason: str | None = None
        self._failure_reason: str | None = None
        self._worker: BackgroundWorker[ipc.Message] = BackgroundWorker(self._run_worker, size=_QUEUE_SIZE)
        self._stack = ExitStack()

    def __enter__(self) -> RtspSink:
        self._stack.enter_context(self._worker)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        self._encoder.close()

    @property
    def waiting(self) -> int:
        """Number of frames handed to the child process that the server has not taken yet."""
        return self._unacknowledged

    def write(self, frame: Frame) -> None:
        """Encode `frame` and queue it for sending; it is dropped if the server is not connected."""
        self._worker.check()
        session = self._session
        key = session != self._session_with_key_frame or self._nut_header is None
        for encoded in self._encoder.encode(frame, key=key):
            if self._nut_header is None:
                self._nut_header = self._encoder.nut_header(encoded, audio=self._audio_header)
            if session and encoded.key:
                self._session_with_key_frame = session
            if session and session == self._session_with_key_frame:
                self._enqueue(_video_message(encoded, frame))
            else:
                self.counts.dropped += 1

    def write_audio(self, audio: AudioPacket) -> None:
        """Queue an encoded audio packet for sending."""
        pts = round(audio.time_s / RTP_TIME_BASE)
        ready = self._session and self._session == self._session_with_key_frame and self._audio_header is not None
        if ready and pts > self._last_audio_pts:
            self._last_audio_pts = pts
            self._enqueue(
                ipc.Message("packet", {"track": "audio", "pts": pts, "key": True, "arrived": 0.0}, audio.data)
            )

    def _enqueue(self, message: ipc.Message) -> None:
        dropped = self._worker.put(message)
        if dropped:
            self._count_dropped(dropped)
            self._session_with_key_frame = 0  # after a gap, decoding can only restart at a key frame

    def _count_dropped(self, dropped: list[ipc.Message]) -> None:
        self.counts.dropped += sum(message.fields["track"] == "video" for message in dropped)

    # Worker thread: communicates with the child process ---------------------------------------------------------------

    def _run_worker(self, worker: BackgroundWorker[ipc.Message]) -> None:
        while not worker.closed:
            if self._nut_header is None:
                worker.get(_POLL_S)
                continue
            try:
                with Subprocess("deepclarity.stream.rtsp.writer_process") as subprocess:
                    self._run_session(subprocess, worker, self._nut_header)
            except SubprocessLostError as error:
                self._handle_loss(f"writer process failed: {error}")
            self._count_dropped(worker.clear())
            self.counts.dropped += self._unacknowledged
            self._unacknowledged = 0
            self._wait_for_retry(worker)

    def _wait_for_retry(self, worker: BackgroundWorker[ipc.Message]) -> None:
        if worker.closed:
            return
        self._backoff.failed()
        while not worker.closed and not self._backoff.is_due():
            worker.get(_POLL_S)

    def _run_session(self, subprocess: Subprocess, worker: BackgroundWorker[ipc.Message], nut_header: bytes) -> None:
        """Run one session with the server until the connection fails or the sink is closed."""
        address, verify = self.address, self.address.scheme == "rtsps" and self.address.verify_tls
        peer = [address.host, address.port, self._timeout_s] if verify else None
        fields = {"url": address.url, "format": address.muxer, "options": address.options, "verify_peer": peer}
        subprocess.send(ipc.Message("open", fields, nut_header))
        if not self._wait_until_connected(subprocess, worker):
            return
        try:
            self._send_packets(subprocess, worker)
        except SubprocessLostError:
            self._drain_messages(subprocess, 0.5)
            self._handle_loss(self._failure_reason or "the server has stopped reading")

    def _wait_until_connected(self, subprocess: Subprocess, worker: BackgroundWorker[ipc.Message]) -> bool:
        deadline = time.monotonic() + self._timeout_s
        while time.monotonic() < deadline:
            message = subprocess.inbox.receive(_POLL_S)
            if worker.closed:
                return False
            if message is not None and message.kind == "connected":
                self._handle_connected()
                return True
            if message is not None or subprocess.inbox.ended:
                self._handle_loss(str(message.fields.get("reason")) if message else "the writer process has exited")
                return False
        self._handle_loss(f"no answer in {self._timeout_s:g} s")
        return False

    def _send_packets(self, subprocess: Subprocess, worker: BackgroundWorker[ipc.Message]) -> None:
        last_response_s = time.monotonic()
        while True:
            message = worker.get(_POLL_S)
            if message is not None:
                self._unacknowledged += message.fields["track"] == "video"
                subprocess.send(message)
            elif worker.closed:
                subprocess.finish()
                return
            if self._drain_messages(subprocess, 0.0) or not self._unacknowledged:
                last_response_s = time.monotonic()
            if self._failure_reason is not None or subprocess.inbox.ended:
                self._handle_loss(self._failure_reason or "the writer process has exited")
                return
            if time.monotonic() - last_response_s > self._timeout_s or self._unacknowledged > _MAX_UNACKNOWLEDGED:
                self._handle_loss(f"the server has stopped reading ({self._unacknowledged} frames not acknowledged)")
                return

    def _drain_messages(self, subprocess: Subprocess, timeout_s: float) -> bool:
        """Process pending messages of the child process; returns whether there were any."""
        received_any = False
        while (message := subprocess.inbox.receive(timeout_s)) is not None:
            received_any = True
            if message.kind == "failed":
                self._failure_reason = str(message.fields["reason"])
                return True
            self._unacknowledged -= 1
            self.counts.written += 1
            arrived_s = message.fields["arrived"]
            self._on_written(message.fields["at"] - arrived_s if arrived_s else None)
        return received_any

    def _handle_connected(self) -> None:
        reconnected = self.counts.connections > 0
        self.counts.connections += 1
        log.info("%s: publishing%s", self.address.label, " again" if reconnected else "")
        self.state, self.reason, self._logged_reason, self._failure_reason = State.CONNECTED, "", None, None
        self._backoff.succeeded()
        self._session = self.counts.connections

    def _handle_loss(self, reason: str) -> None:
        self._session = 0
        self.counts.failures += self.state is not State.CONNECTED
        self.state = State.RECONNECTING if self.counts.connections else State.CONNECTING
        self.reason, self._failure_reason = reason, None
        if reason != self._logged_reason:
            log.warning("%s: %s; retrying", self.address.label, reason)
            self._logged_reason = reason


def _video_message(encoded: EncodedFrame, frame: Frame) -> ipc.Message:
    arrived_s = 0.0 if frame.placeholder or frame.arrived_s is None else frame.arrived_s
    fields = {"track": "video", "pts": encoded.pts, "key": encoded.key, "arrived": arrived_s}
    return ipc.Message("packet", fields, encoded.data)
