"""Live source: yields the frames of a camera or network stream, reconnects, and fills gaps with placeholders.

A child process reads the source. While no frame arrives, the last one is repeated, then a slate gives the reason: the
consumer sees neither an end nor a gap.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import replace
from fractions import Fraction
from types import TracebackType

import av
from av.video.frame import VideoFrame

from deepclarity.errors import DeviceError, SourceError
from deepclarity.stream import planes
from deepclarity.stream.frame import Frame, Placeholder
from deepclarity.stream.handover import WhenFull
from deepclarity.stream.info import Colour
from deepclarity.stream.packets import RTP_TIME_BASE
from deepclarity.stream.rtsp import ipc
from deepclarity.stream.rtsp.address import Address
from deepclarity.stream.rtsp.subprocess import Subprocess, SubprocessLostError

from .backoff import Backoff
from .normalize import normalize_picture, output_colour
from .placeholders import PlaceholderSchedule
from .session import DecodedPicture, Session
from .slate import slate
from .state import AudioFormat, AudioPacket, SourceCounts, State, Timeouts
from .timestamps import Timeline

log = logging.getLogger(__name__)

_POLL_S = 0.1
_MAX_AUDIO_PACKETS = 512
_WATCHDOG_MARGIN_S = 10.0
"""Time beyond the timeouts after which the kernel terminates a stuck reader process."""


class LiveSource:
    """`with LiveSource(address) as source: for frame in source: …`, until it is closed or the file ends.

    Every frame is 8-bit 4:2:0 in limited range; its size may change. Frames that replace missing ones have a
    `placeholder` kind. Timestamps increase strictly from the first real frame on; earlier slates are timed separately.
    Raises SourceError for a file that cannot be read; a live source is retried indefinitely.
    """

    when_full = WhenFull.DROP_OLDEST

    def __init__(
        self,
        address: Address,
        *,
        slate_size: tuple[int, int] = (1920, 1080),
        timeouts: Timeouts | None = None,
        audio: bool = True,
        loop: bool = False,
    ) -> None:
        """`slate_size`: (width, height) of slates, both even. `audio`: whether to read audio. `loop`: repeat a file."""
        self.address = address
        self.slate_size = slate_size
        self.state = State.CONNECTING
        self.reason = "connecting"
        """Why no frame arrives, for the user."""
        self.counts = SourceCounts()
        self.nut_header: bytes | None = None
        """A NUT file with the parameters of the source's streams; None before the first connection."""
        self.audio_format: AudioFormat | None = None
        """Format of the first session's audio; later audio in another format is dropped."""
        self.rate = Fraction(30)
        """Nominal frames per second; only a hint."""
        self.colour = Colour(range=1)
        """Colour tags of the first picture; all frames are converted to its matrix."""
        self.audio: deque[AudioPacket] = deque(maxlen=_MAX_AUDIO_PACKETS)
        """Encoded audio received so far; the consumer of the frames takes it from here."""
        self._with_audio = audio
        self._loop = loop
        self._timeouts = timeouts or Timeouts()
        self._timeline = Timeline()
        self._backoff = Backoff(address)
        self._index = 0
        self._last_frame: Frame | None = None
        self._picture_format = (0, 0, "")
        self._last_arrival_s = time.monotonic()
        self._placeholders = PlaceholderSchedule()
        self._logged_reason: str | None = None
        self._closing = False

    def __enter__(self) -> LiveSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def frame_interval_s(self) -> float:
        """Recent interval between frames, in seconds."""
        return self._timeline.frame_interval_s

    @property
    def ever_connected(self) -> bool:
        """Whether any real frame has arrived yet."""
        return self._last_frame is not None

    def close(self) -> None:
        """End the iteration, within a tenth of a second. Can be called from another thread."""
        self._closing = True

    def __iter__(self) -> Iterator[Frame]:
        while not self._closing:
            ended = yield from self._session()
            is_final = self.address.is_finite or (self.address.is_synthetic and not self.ever_connected)
            if is_final and not ended and not self._closing:
                raise SourceError(f"{self.address.label}: {self.reason}. Check its name.")
            if self.address.is_finite and not self._loop:
                self.state = State.ENDED
                return
            self._timeline.interrupted()
            if not self.address.is_finite:
                yield from self._wait_for_retry()

    def _session(self) -> Generator[Frame, None, bool]:
        """Open the source and yield its frames until it fails or ends; returns whether it ended normally."""
        try:
            with Subprocess("deepclarity.stream.rtsp.reader_process") as subprocess:
                subprocess.send(self._open_message())
                return (yield from self._run_session(subprocess))
        except SubprocessLostError as error:
            self._handle_loss(f"reader process failed: {error}")
        except (av.error.FFmpegError, ValueError) as error:  # the message may contain the address, so it is not shown
            self._handle_loss(f"its video cannot be decoded ({type(error).__name__})")
        return False

    def _run_session(self, subprocess: Subprocess) -> Generator[Frame, None, bool]:
        """Process the messages of a reader process. Without pictures the source has stalled, even if packets arrive."""
        session: Session | None = None
        deadline = self._deadline(self._timeouts.open_s)
        while not self._closing:
            message = subprocess.inbox.receive(_POLL_S)
            if message is None and subprocess.inbox.ended:
                self._handle_loss("the reader process has exited")
                return False
            if message is not None and message.kind == "opened":
                session = Session(message, self.counts)
                deadline = self._deadline(self._timeouts.stall_s)
            elif message is not None and message.kind != "packet":
                if session is not None:
                    yield from self._real_frames(session, None)
                self._handle_loss(str(message.fields.get("reason", "the stream has ended")))
                return message.kind == "ended"
            elif message is not None and session is not None:
                previous_s = self._last_arrival_s
                yield from self._process_packet(session, message)
                if self._last_arrival_s > previous_s:
                    deadline = self._deadline(self._timeouts.stall_s)
            if time.monotonic() >= deadline:
                self._handle_loss(self._timeout_reason(opened=session is not None))
                return False
            yield from self._placeholder_frames()
        return False

    def _deadline(self, wait_s: float) -> float:
        """Time of a timeout in `wait_s` seconds; a file has none."""
        return float("inf") if self.address.is_finite else time.monotonic() + wait_s

    def _timeout_reason(self, *, opened: bool) -> str:
        if opened:
            return f"no picture for {self._timeouts.stall_s:g} s"
        return f"no answer in {self._timeouts.open_s:g} s"

    def _open_message(self) -> ipc.Message:
        address = self.address
        fields = {
            **{"url": address.url, "format": address.muxer, "options": address.options},
            "verify_tls": address.verify_tls,
            "audio": self._with_audio,
            "paced": self.address.is_finite or self.address.is_synthetic,
            "watchdog_s": 2 * max(self._timeouts.open_s, self._timeouts.stall_s) + _WATCHDOG_MARGIN_S,
        }
        return ipc.Message("open", fields)

    def _process_packet(self, session: Session, message: ipc.Message) -> Iterator[Frame]:
        if message.fields["track"] != "audio":
            yield from self._real_frames(session, message)
        elif session.audio == self.audio_format:
            self._keep_audio(message)

    def _real_frames(self, session: Session, message: ipc.Message | None) -> Iterator[Frame]:
        for decoded in session.decode(message):
            if self.state is not State.CONNECTED:
                self._handle_first_picture(session, decoded)
            yield self._real_frame(session, decoded)

    def _handle_first_picture(self, session: Session, first: DecodedPicture) -> None:
        """Handle the first picture of a session: only now the source counts as connected."""
        self.counts.reconnects += self.ever_connected
        log.info("%s: connected%s", self.address.label, " again" if self.ever_connected else "")
        if not self.ever_connected:
            self.nut_header, self.audio_format, self.rate = session.nut_header, session.audio, session.rate
            self.colour = output_colour(first.picture)
            self._timeline = Timeline()  # time starts at the first picture, not at the slates before it
        self.state, self.reason, self._logged_reason = State.CONNECTED, "", None
        self._backoff.succeeded()

    def _real_frame(self, session: Session, decoded: DecodedPicture) -> Frame:
        time_s = self._timeline.output_time(decoded.time_s, arrived_s=decoded.arrived_s)
        self._last_arrival_s = max(self._last_arrival_s, decoded.arrived_s)
        self.counts.retimed = self._timeline.corrected
        picture_format = (decoded.picture.width, decoded.picture.height, session.codec)
        if self.ever_connected and picture_format != self._picture_format:
            self.counts.changes += 1
            log.info("%s: now %dx%d %s", self.address.label, *picture_format)
        self._picture_format = picture_format
        picture = normalize_picture(decoded.picture, self.colour)
        frame = self._make_frame(picture, time_s, arrived_s=decoded.arrived_s, intact=decoded.intact)
        self._last_frame = replace(frame, user_data=decoded.user_data)
        return self._last_frame

    def _make_frame(
        self,
        picture: VideoFrame,
        time_s: float,
        *,
        arrived_s: float,
        intact: bool = True,
        placeholder: Placeholder | None = None,
    ) -> Frame:
        index, self._index = self._index, self._index + 1
        return Frame(
            planes=planes.planes_of(picture),
            index=index,
            pts=round(time_s / RTP_TIME_BASE),
            time_base=RTP_TIME_BASE,
            picture=picture,
            arrived_s=arrived_s,
            intact=intact,
            placeholder=placeholder,
        )

    def _keep_audio(self, message: ipc.Message) -> None:
        fields = message.fields
        pts = fields["pts"] if fields["pts"] is not None else fields["dts"]
        time_s = None if pts is None else self._timeline.audio_time(float(pts * Fraction(*fields["base"])))
        if time_s is not None:
            self.audio.append(AudioPacket(message.data, time_s))

    def _wait_for_retry(self) -> Iterator[Frame]:
        self._backoff.failed()
        while not self._closing and not self._backoff.is_due():
            time.sleep(_POLL_S)
            yield from self._placeholder_frames()

    def _handle_loss(self, reason: str) -> None:
        """Record why the source was lost; each reason is logged once."""
        self.reason = reason
        if self.address.is_finite:
            return
        self.counts.failures += self.state is not State.CONNECTED
        self.state = State.RECONNECTING if self.ever_connected else State.CONNECTING
        if reason != self._logged_reason:
            log.warning("%s: %s; retrying", self.address.label, reason)
            self._logged_reason = reason

    def _placeholder_frames(self) -> Iterator[Frame]:
        """Yield a placeholder if one is due."""
        now_s = time.monotonic()
        kind = self._placeholders.due(
            now_s=now_s,
            last_arrival_s=self._last_arrival_s,
            frame_interval_s=self._timeline.frame_interval_s,
            has_picture=self.ever_connected,
        )
        if kind is None:
            return
        if self._last_frame is None or kind is Placeholder.SLATE:
            self.counts.slates += self.ever_connected
            reason, seconds = self.reason or "no picture", int(now_s - self._last_arrival_s)
            picture = slate(self.slate_size, title=self.address.label, reason=reason, seconds=seconds)
        else:
            self.counts.held += 1
            assert isinstance(self._last_frame.picture, VideoFrame)
            picture = self._last_frame.picture
        time_s = self._timeline.placeholder_time(now_s=now_s)
        yield self._make_frame(picture, time_s, arrived_s=now_s, placeholder=kind)


def connect_failed(source: LiveSource) -> DeviceError:
    """The error to raise for a source that was never connected."""
    return DeviceError(f"{source.address.label}: {source.reason}; no picture was received.")
