"""Live source: frames of a camera or network stream, with reconnects and placeholders.

A child process reads the source. While no frame arrives, the last one is repeated, then a slate states the reason,
and the source is reopened: an iterating consumer sees neither an end nor a gap.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Generator, Iterator
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
from .session import DecodedPicture, Session
from .slate import slate
from .state import AudioFormat, AudioPacket, SourceCounts, State, Timeouts
from .timestamps import Timeline

log = logging.getLogger(__name__)

_TICK_S = 0.1
_HOLD_AFTER_S = 0.25
_SLATE_AFTER_S = 1.0
_SOUND_KEPT = 512
_WATCHDOG_MARGIN_S = 10.0
"""Extra time after our own timeouts until the kernel terminates a stuck reader process."""


class LiveSource:
    """`with LiveSource(address) as source: for frame in source: …`, until the block is left or the file ends.

    Every frame is 8-bit 4:2:0 in limited range; its size may change. Frames that replace missing ones have a
    `placeholder` kind. Timestamps increase strictly from the first real frame on; slates before it count the wait.
    Raises SourceError for a file that cannot be read; a live source is retried without end.
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
        """`slate_size`: (width, height) of slates. `loop`: restart a file at its end."""
        self.address = address
        self.slate_size = slate_size
        self.state = State.CONNECTING
        self.reason = "connecting"
        """Why no frame arrives, as a message for people."""
        self.counts = SourceCounts()
        self.nut_header: bytes | None = None
        """A NUT file with the parameters of the source's streams; None before the first connection."""
        self.audio_format: AudioFormat | None = None
        """Format of the first audio track; audio in another format is dropped later."""
        self.rate = Fraction(30)
        """Nominal frames per second: only a hint."""
        self.colour = Colour(range=1)
        """Colour tags of its first picture."""
        self.audio: deque[AudioPacket] = deque(maxlen=_SOUND_KEPT)
        """Encoded audio received so far; the consumer of frames removes it."""
        self._audio_wanted = audio
        self._loop = loop
        self._timeouts = timeouts or Timeouts()
        self._timeline = Timeline()
        self._backoff = Backoff(address)
        self._index = 0
        self._last: Frame | None = None
        self._shape = (0, 0, "")
        self._seen_s = time.monotonic()
        self._placeholder_since_s = 0.0
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
        """Whether any real frame has ever arrived."""
        return self._last is not None

    def close(self) -> None:
        """Stop: an iterating consumer ends within a tenth of a second."""
        self._closing = True

    def __iter__(self) -> Iterator[Frame]:
        while not self._closing:
            ended = yield from self._session()
            hopeless = self.address.is_finite or (self.address.is_synthetic and not self.ever_connected)
            if hopeless and not ended and not self._closing:
                raise SourceError(f"{self.address.label}: {self.reason}. Check its name.")
            if self.address.is_finite and not self._loop:
                self.state = State.ENDED
                return
            self._timeline.interrupted()
            if not self.address.is_finite:
                yield from self._wait_for_next()

    # One session ------------------------------------------------------------------------------------------------------

    def _session(self) -> Generator[Frame, None, bool]:
        """Open the source and yield its frames until it fails; returns whether it ended regularly."""
        try:
            with Subprocess("deepclarity.stream.rtsp.reader_process") as subprocess:
                subprocess.send(self._open_message())
                return (yield from self._run_session(subprocess))
        except SubprocessLostError as error:
            self._handle_loss(f"its reader process is lost: {error}")
        except (av.error.FFmpegError, ValueError) as error:  # FFmpeg's message may contain the address
            self._handle_loss(f"its video cannot be used ({type(error).__name__})")
        return False

    def _run_session(self, subprocess: Subprocess) -> Generator[Frame, None, bool]:
        """Process a reader's messages. Only pictures count: audio alone, or packets without pictures, is a stall."""
        session: Session | None = None
        deadline = self._deadline(self._timeouts.open_s)
        while not self._closing:
            message = subprocess.inbox.receive(_TICK_S)
            if message is None and subprocess.inbox.ended:
                self._handle_loss("its reader process has ended")
                return False
            if message is not None and message.kind == "opened":
                session = Session(message, self.counts)
                deadline = self._deadline(self._timeouts.stall_s)
            elif message is not None and message.kind != "packet":
                if session is not None:
                    yield from self._frames(session, None)
                self._handle_loss(str(message.fields.get("reason", "it has ended")))
                return message.kind == "ended"
            elif message is not None and session is not None:
                before = self._seen_s
                yield from self._process_packet(session, message)
                if self._seen_s > before:
                    deadline = self._deadline(self._timeouts.stall_s)
            if time.monotonic() >= deadline:
                self._handle_loss(self._timeout_reason(opened=session is not None))
                return False
            yield from self._placeholder_frames()
        return False

    def _deadline(self, wait_s: float) -> float:
        """Time at which waiting ends; never for a file."""
        return float("inf") if self.address.is_finite else time.monotonic() + wait_s

    def _timeout_reason(self, *, opened: bool) -> str:
        if opened:
            return f"no picture came for {self._timeouts.stall_s:g} s"
        return f"no answer in {self._timeouts.open_s:g} s"

    def _open_message(self) -> ipc.Message:
        fields = {
            "url": self.address.url,
            "format": self.address.muxer,
            "options": self.address.options,
            "audio": self._audio_wanted,
            "paced": self.address.is_finite or self.address.is_synthetic,
            "watchdog_s": 2 * max(self._timeouts.open_s, self._timeouts.stall_s) + _WATCHDOG_MARGIN_S,
        }
        return ipc.Message("open", fields)

    def _process_packet(self, session: Session, message: ipc.Message) -> Iterator[Frame]:
        if message.fields["track"] != "audio":
            yield from self._frames(session, message)
        elif session.audio == self.audio_format:
            self._keep_audio(message)

    def _frames(self, session: Session, message: ipc.Message | None) -> Iterator[Frame]:
        for arrival in session.pictures(message):
            if self.state is not State.CONNECTED:
                self._first_picture(session, arrival)
            yield self._frame(session, arrival)

    def _first_picture(self, session: Session, first: DecodedPicture) -> None:
        """Handle the first picture of a session: the source is connected, or back."""
        self.counts.reconnects += self.ever_connected
        log.info("%s: connected%s", self.address.label, " again" if self.ever_connected else "")
        if not self.ever_connected:
            self.nut_header, self.audio_format, self.rate = session.nut_header, session.audio, session.rate
            self.colour = output_colour(first.picture)
            self._timeline = Timeline()  # time starts at the first picture, not while waiting for it
        self.state, self.reason, self._logged_reason = State.CONNECTED, "", None
        self._backoff.succeeded()

    def _frame(self, session: Session, arrival: DecodedPicture) -> Frame:
        placed = self._timeline.place(arrival.time_s, arrived_s=arrival.arrived_s)
        self._seen_s = max(self._seen_s, arrival.arrived_s)
        self.counts.retimed = self._timeline.moved
        shape = (arrival.picture.width, arrival.picture.height, session.codec)
        if self.ever_connected and shape != self._shape:
            self.counts.changes += 1
            log.info("%s: now %dx%d %s", self.address.label, *shape)
        self._shape = shape
        self._last = self._make_frame(
            normalize_picture(arrival.picture, self.colour), placed, arrived_s=arrival.arrived_s, intact=arrival.intact
        )
        return self._last

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
        moment = fields["pts"] if fields["pts"] is not None else fields["dts"]
        if moment is None or self._timeline.offset_s is None or self._timeline.last_was_outlier:
            return  # no picture to play it with yet
        time_s = float(moment * Fraction(*fields["base"])) + self._timeline.offset_s
        if self._timeline.is_near(time_s):
            self.audio.append(AudioPacket(message.data, time_s))

    # Between sessions -------------------------------------------------------------------------------------------------

    def _wait_for_next(self) -> Iterator[Frame]:
        self._backoff.failed()
        while not self._closing and not self._backoff.is_due():
            time.sleep(_TICK_S)
            yield from self._placeholder_frames()

    def _handle_loss(self, reason: str) -> None:
        """Handle a lost source; logs each reason once."""
        self.reason = reason
        if self.address.is_finite:
            return
        self.counts.failures += self.state is not State.CONNECTED
        self.state = State.RECONNECTING if self.ever_connected else State.CONNECTING
        if reason != self._logged_reason:
            log.warning("%s: %s; trying again", self.address.label, reason)
            self._logged_reason = reason

    def _placeholder_frames(self) -> Iterator[Frame]:
        """Yield placeholders while no picture arrives: nothing at first, then the last picture, then a slate."""
        now = time.monotonic()
        silent_s, usual_s = now - self._seen_s, 3 * self._timeline.frame_interval_s
        current = self.ever_connected and silent_s < max(_HOLD_AFTER_S, usual_s)
        if current or now - self._placeholder_since_s < _TICK_S:
            return
        self._placeholder_since_s = now
        if self._last is None or silent_s >= max(_SLATE_AFTER_S, usual_s):
            self.counts.slates += self.ever_connected
            reason = self.reason or "nothing comes"
            picture = slate(self.slate_size, title=self.address.label, reason=reason, seconds=int(silent_s))
            kind = Placeholder.SLATE
        else:
            self.counts.held += 1
            assert isinstance(self._last.picture, VideoFrame)
            picture, kind = self._last.picture, Placeholder.HELD
        yield self._make_frame(picture, self._timeline.hold(now_s=now), arrived_s=now, placeholder=kind)


def connect_failed(source: LiveSource) -> DeviceError:
    """The error for a source that was never connected."""
    return DeviceError(f"{source.address.label}: {source.reason}; no picture was received.")
