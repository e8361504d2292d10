"""Connection states, counters and options of live sources and sinks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Whether pictures come, or go."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a live source is waited for."""

    open_s: float = 5.0
    """To be opened."""
    stall_s: float = 5.0
    """For the next packet of an open one."""


@dataclass(slots=True)
class SourceCounts:
    """What a live source has been through."""

    reconnects: int = 0
    """Times it came back."""
    failures: int = 0
    """Attempts to open it that failed."""
    lost_packets: int = 0
    """RTP packets that never came."""
    damaged_packets: int = 0
    """Packets that could not be decoded."""
    damaged_frames: int = 0
    """Pictures that follow a loss: decoded, not to be trusted until the next key frame."""
    retimed: int = 0
    """Pictures whose time did not fit and was put beside its neighbours'."""
    changes: int = 0
    """Changes of size or codec in mid-stream."""
    held: int = 0
    """Pictures shown again for want of new ones."""
    slates: int = 0
    """Pictures that said what is missing."""


@dataclass(slots=True)
class SinkCounts:
    """What a live sink has been through."""

    connections: int = 0
    """Sessions with the server so far."""
    failures: int = 0
    """Attempts that failed."""
    dropped: int = 0
    """Coded pictures thrown away because the server was gone or slow."""
    written: int = 0
    """Pictures that went out."""

    @property
    def reconnects(self) -> int:
        """Sessions after the first."""
        return max(0, self.connections - 1)


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """What coded sound is: what is sent along must stay the same."""

    codec: str
    """FFmpeg's name: `aac`, `opus`, …"""
    rate_hz: int
    channels: int


@dataclass(frozen=True, slots=True)
class AudioPacket:
    """Coded sound on its way past the pictures."""

    data: bytes
    time_s: float
    """When it is heard, on the pictures' clock."""
