"""Live source: frames of a camera or network stream, with reconnects and placeholders.

The reading is done by a process of its own. When nothing comes the last picture is held, then a slate says why, and
the source is asked for again: whoever iterates sees no end and no gap.
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
_ALIVE_S = 10.0
"""How much longer than we do the kernel waits before it ends a reader that is stuck."""


class LiveSource:
    """`with LiveSource(address) as source: for frame in source: …`, until the block is left or the file ends.

    Every frame is 4:2:0, 8 bits, limited range; its size may change. Frames that replace missing ones say so.
    Times rise strictly from the first picture on; what replaces it before counts the wait.
    Raises SourceError for a file that cannot be read; a live source is asked for again, for ever.
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
        """`slate_size`: (width, height) of slates. `loop`: begin a file again at its end."""
        self.address = address
        self.slate_size = slate_size
        self.state = State.CONNECTING
        self.reason = "connecting"
        """Why nothing comes, for people."""
        self.counts = SourceCounts()
        self.nut_header: bytes | None = None
        """A NUT file with the parameters of the source's streams, once it has been met."""
        self.audio_format: AudioFormat | None = None
        """What sound it brought at first; other sound that comes later is left out."""
        self.rate = Fraction(30)
        """Pictures a second, as the source announces them: a hint."""
        self.colour = Colour(range=1)
        """Tags of its first picture."""
        self.audio: deque[AudioPacket] = deque(maxlen=_SOUND_KEPT)
        """Coded sound that came; whoever takes frames takes this, too."""
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
        self._reported: str | None = None
        self._closing = False

    def __enter__(self) -> LiveSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def frame_interval_s(self) -> float:
        """Seconds from one picture to the next, as they have been coming."""
        return self._timeline.frame_interval_s

    @property
    def ever_connected(self) -> bool:
        """Whether it has ever shown a picture."""
        return self._last is not None

    def close(self) -> None:
        """Give out nothing more; whoever iterates comes to an end within a moment."""
        self._closing = True

    def __iter__(self) -> Iterator[Frame]:
        while not self._closing:
            ended = yield from self._one_session()
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

    def _one_session(self) -> Generator[Frame, None, bool]:
        """Open the source and give out its frames until it fails; whether it came to its end."""
        try:
            with Subprocess("deepclarity.stream.rtsp.reader_process") as subprocess:
                subprocess.send(self._order())
                return (yield from self._conversation(subprocess))
        except SubprocessLostError as error:
            self._lost(f"its reader is lost: {error}")
        except (av.error.FFmpegError, ValueError) as error:  # FFmpeg's own words may name the address
            self._lost(f"its video cannot be used ({type(error).__name__})")
        return False

    def _conversation(self, subprocess: Subprocess) -> Generator[Frame, None, bool]:
        """Hear a reader out. What matters is pictures: sound alone, or packets that give none, are a stall."""
        session: Session | None = None
        deadline = self._deadline(self._timeouts.open_s)
        while not self._closing:
            message = subprocess.inbox.take(_TICK_S)
            if message is None and subprocess.inbox.ended:
                self._lost("its reader has died")
                return False
            if message is not None and message.kind == "opened":
                session = Session(message, self.counts)
                deadline = self._deadline(self._timeouts.stall_s)
            elif message is not None and message.kind != "packet":
                if session is not None:
                    yield from self._frames(session, None)
                self._lost(str(message.fields.get("reason", "it has ended")))
                return message.kind == "ended"
            elif message is not None and session is not None:
                before = self._seen_s
                yield from self._taken(session, message)
                if self._seen_s > before:
                    deadline = self._deadline(self._timeouts.stall_s)
            if time.monotonic() >= deadline:
                self._lost(self._silence(opened=session is not None))
                return False
            yield from self._placeholder_frames()
        return False

    def _deadline(self, wait_s: float) -> float:
        """Until when to wait; a file is no network."""
        return float("inf") if self.address.is_finite else time.monotonic() + wait_s

    def _silence(self, *, opened: bool) -> str:
        if opened:
            return f"no picture came for {self._timeouts.stall_s:g} s"
        return f"no answer in {self._timeouts.open_s:g} s"

    def _order(self) -> ipc.Message:
        fields = {
            "url": self.address.url,
            "format": self.address.muxer,
            "options": self.address.options,
            "sound": self._audio_wanted,
            "paced": self.address.is_finite or self.address.is_synthetic,
            "alive_s": 2 * max(self._timeouts.open_s, self._timeouts.stall_s) + _ALIVE_S,
        }
        return ipc.Message("open", fields)

    def _taken(self, session: Session, message: ipc.Message) -> Iterator[Frame]:
        if message.fields["track"] != "audio":
            yield from self._frames(session, message)
        elif session.audio == self.audio_format:
            self._keep_sound(message)

    def _frames(self, session: Session, message: ipc.Message | None) -> Iterator[Frame]:
        for arrival in session.pictures(message):
            if self.state is not State.CONNECTED:
                self._meet(session, arrival)
            yield self._frame(session, arrival)

    def _meet(self, session: Session, first: DecodedPicture) -> None:
        """Its first picture is here: it is back, or there for the first time."""
        self.counts.reconnects += self.ever_connected
        log.info("%s: connected%s", self.address.label, " again" if self.ever_connected else "")
        if not self.ever_connected:
            self.nut_header, self.audio_format, self.rate = session.nut_header, session.audio, session.rate
            self.colour = output_colour(first.picture)
            self._timeline = Timeline()  # time begins with the first picture, not with the wait for it
        self.state, self.reason, self._reported = State.CONNECTED, "", None
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
        self._last = self._numbered(
            normalize_picture(arrival.picture, self.colour), placed, arrived_s=arrival.arrived_s, intact=arrival.intact
        )
        return self._last

    def _numbered(
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

    def _keep_sound(self, message: ipc.Message) -> None:
        fields = message.fields
        moment = fields["pts"] if fields["pts"] is not None else fields["dts"]
        if moment is None or self._timeline.offset_s is None or self._timeline.is_odd:
            return  # nothing to hear it with yet
        time_s = float(moment * Fraction(*fields["base"])) + self._timeline.offset_s
        if self._timeline.is_near(time_s):
            self.audio.append(AudioPacket(message.data, time_s))

    # Between sessions -------------------------------------------------------------------------------------------------

    def _wait_for_next(self) -> Iterator[Frame]:
        self._backoff.failed()
        while not self._closing and not self._backoff.is_due():
            time.sleep(_TICK_S)
            yield from self._placeholder_frames()

    def _lost(self, reason: str) -> None:
        """Report of a source that is gone: once for each reason."""
        self.reason = reason
        if self.address.is_finite:
            return
        self.counts.failures += self.state is not State.CONNECTED
        self.state = State.RECONNECTING if self.ever_connected else State.CONNECTING
        if reason != self._reported:
            log.warning("%s: %s; trying again", self.address.label, reason)
            self._reported = reason

    def _placeholder_frames(self) -> Iterator[Frame]:
        """What is shown for want of a new picture: nothing at first, then the last one, then a slate."""
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
        yield self._numbered(picture, self._timeline.hold(now_s=now), arrived_s=now, placeholder=kind)


def connect_failed(source: LiveSource) -> DeviceError:
    """The error of a source that was never met, for whoever does not want to wait any longer."""
    return DeviceError(f"{source.address.label}: {source.reason}; not one picture came from it.")
