"""A mount point of the test server: its publisher, readers and counters."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from tests.rtsp.server.messages import video_track
from tests.rtsp.server.rtp import TimestampRewriter, timestamp
from tests.rtsp.server.transports import TrackTransport


class Arrival(NamedTuple):
    """A published picture: the first packet with a new timestamp."""

    rtp: int
    """Its 32-bit RTP timestamp at 90 kHz, as sent by the publisher."""
    at: float
    """Arrival time, from time.monotonic()."""


class Client(Protocol):
    """A client as seen by its mount point."""

    transports: dict[int, TrackTransport]

    def close(self) -> None:
        """Close the session."""


@dataclass
class Mount:
    """A mount point (path), kept until the server ends."""

    publisher: Client | None = None
    recording: bool = False
    sdp: bytes = b""
    readers: list[Client] = field(default_factory=list)
    stalled: bool = False
    drop_video: bool = False
    """Whether video is dropped while audio passes."""
    teardowns: int = 0
    received_bytes: int = 0
    arrivals: list[list[Arrival]] = field(default_factory=list)
    """Arrivals of every session announced so far."""
    timestamps: TimestampRewriter = field(default_factory=TimestampRewriter)

    def announce(self, publisher: Client, sdp: bytes) -> None:
        """Start a session; a previous publisher is disconnected."""
        before, self.publisher = self.publisher, publisher
        if before is not None and before is not publisher:
            before.close()
        self.sdp, self.recording = sdp, False
        self.arrivals.append([])

    def leave(self, client: Client, *, keep_readers: bool) -> None:
        """Remove a publisher or reader; a publisher's readers are disconnected with it."""
        if client in self.readers:
            self.readers.remove(client)
        if client is self.publisher:
            self.publisher, self.recording = None, False
            for reader in [] if keep_readers else self.readers:
                reader.close()

    def forward(self, track: int, packet: bytes, *, report: bool) -> None:
        """Forward a publisher's packet to the readers."""
        video = track == video_track(self.sdp)
        if not report:
            self.received_bytes += len(packet)
            if video:
                self._record_arrival(timestamp(packet))
        if self.stalled or (self.drop_video and video):
            return
        if video:
            packet = self.timestamps.rewrite_report(packet) if report else self.timestamps.rewrite(packet)
        for reader in self.readers:
            if track in reader.transports:
                reader.transports[track].send(packet, report=report)

    def _record_arrival(self, rtp: int) -> None:
        session = self.arrivals[-1]
        if not session or session[-1].rtp != rtp:
            session.append(Arrival(rtp, time.monotonic()))
