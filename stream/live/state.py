"""Connection states, counters, timeouts and audio packets of live sources and sinks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Connection state of a source or sink."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Timeouts of a live source, in seconds."""

    open_s: float = 5.0
    """Maximum time to open the source."""
    stall_s: float = 5.0
    """Maximum time without a picture once the source is open."""


@dataclass(slots=True)
class SourceCounts:
    """Counters of a live source."""

    reconnects: int = 0
    """Reconnects after a loss."""
    failures: int = 0
    """Failed attempts to open the source."""
    lost_packets: int = 0
    """RTP packets lost in transit."""
    damaged_packets: int = 0
    """Packets that could not be decoded."""
    damaged_frames: int = 0
    """Pictures decoded with concealment: those after a loss, up to the next key frame."""
    retimed: int = 0
    """Pictures whose timestamp was an outlier and was corrected."""
    changes: int = 0
    """Mid-stream changes of size or codec."""
    held: int = 0
    """Repetitions of the last picture while no new one arrived."""
    slates: int = 0
    """Slates shown."""


@dataclass(slots=True)
class SinkCounts:
    """Counters of a live sink."""

    connections: int = 0
    """Sessions with the server so far."""
    failures: int = 0
    """Failed attempts to connect."""
    dropped: int = 0
    """Encoded frames dropped because the server was unreachable or slow."""
    written: int = 0
    """Frames sent."""

    @property
    def reconnects(self) -> int:
        """Number of sessions after the first."""
        return max(0, self.connections - 1)


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """Format of an encoded audio track; constant within an output."""

    codec: str
    """FFmpeg's name: `aac`, `opus`, …"""
    rate_hz: int
    channels: int


@dataclass(frozen=True, slots=True)
class AudioPacket:
    """An encoded audio packet, which bypasses the video pipeline."""

    data: bytes
    time_s: float
    """Presentation time on the timeline of the frames, in seconds."""
