"""A mount point of the test server: its publisher, readers and counters."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from tests.rtsp.server.messages import video_track
from tests.rtsp.server.rtp import Clock, timestamp
from tests.rtsp.server.transports import Way


class Arrival(NamedTuple):
    """A picture of a publisher: the first packet with a new time."""

    rtp: int
    """Its 32-bit time as the publisher sent it, counted at 90 kHz."""
    at: float
    """When it came, by time.monotonic()."""


class Client(Protocol):
    """What a path knows of its publisher and its readers."""

    ways: dict[int, Way]

    def close(self) -> None:
        """Take leave in good order."""


@dataclass
class Mount:
    """One path, from its first publisher to the end of the server."""

    publisher: Client | None = None
    recording: bool = False
    sdp: bytes = b""
    readers: list[Client] = field(default_factory=list)
    stalled: bool = False
    blind: bool = False
    """Whether pictures are swallowed and sound is not."""
    teardowns: int = 0
    received_bytes: int = 0
    arrivals: list[list[Arrival]] = field(default_factory=list)
    """Of every session ever announced."""
    clock: Clock = field(default_factory=Clock)

    def announce(self, publisher: Client, sdp: bytes) -> None:
        """Begin a session; whoever published before has to go."""
        before, self.publisher = self.publisher, publisher
        if before is not None and before is not publisher:
            before.close()
        self.sdp, self.recording = sdp, False
        self.arrivals.append([])

    def leave(self, client: Client, *, keep_readers: bool) -> None:
        """Forget a publisher or reader that has gone; the readers of a publisher go with it."""
        if client in self.readers:
            self.readers.remove(client)
        if client is self.publisher:
            self.publisher, self.recording = None, False
            for reader in [] if keep_readers else self.readers:
                reader.close()

    def pass_on(self, track: int, packet: bytes, *, report: bool) -> None:
        """Give a packet of the publisher to the readers."""
        video = track == video_track(self.sdp)
        if not report:
            self.received_bytes += len(packet)
            if video:
                self._note(timestamp(packet))
        if self.stalled or (self.blind and video):
            return
        if video:
            packet = self.clock.rewrite_report(packet) if report else self.clock.rewrite(packet)
        for reader in self.readers:
            if track in reader.ways:
                reader.ways[track].send(packet, report=report)

    def _note(self, rtp: int) -> None:
        arrived = self.arrivals[-1]
        if not arrived or arrived[-1].rtp != rtp:
            arrived.append(Arrival(rtp, time.monotonic()))
