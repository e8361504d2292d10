"""Hours of a relay in minutes: a camera whose time runs fast, and which fails, changes and steps its clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.rtsp.camera.behaviour import Behaviour
from tests.rtsp.camera.camera import Camera
from tests.rtsp.camera.clip import CLOCK_HZ, video
from tests.rtsp.relay_command import CliProcess, descendants, resources
from tests.rtsp.server.server import RtspServer
from tests.rtsp.wait import wait_until

RATE = 10
"""Pictures a second of the camera's time."""
_SIZES = ((160, 96), (192, 108), (128, 96))
_CLOCK_STEPS_S = (0.0, 3600.0, -3600.0)
_SETTLED_UNITS = 5 * RATE
"""Pictures after which a connection is in full swing."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a relay uses at one moment."""

    stream_s: float
    """The camera's time so far."""
    main_mb: float
    """Resident memory of the relay."""
    all_mb: float
    """The same with its child processes."""
    threads: int
    descriptors: int


class Soak:
    """A relay between an accelerated camera and a server."""

    def __init__(self, camera: Camera, relay: CliProcess, server: RtspServer) -> None:
        self.camera, self.relay, self.server = camera, relay, server
        self._round = 0

    def run_round(self, seconds: float) -> Sample:
        """`seconds` of the camera's time, a sample at their end, then a lost connection and another camera."""
        goal, sessions = self.camera.sent + max(_SETTLED_UNITS, round(seconds * RATE)), self.camera.sessions
        wait_until(
            lambda: self.camera.sent >= goal, timeout_s=120, what=lambda: f"pictures: {self.relay.output[-400:]}"
        )
        sample = self._sample()
        self._round += 1
        self.camera.tracks = (video(size=_SIZES[self._round % len(_SIZES)], rate=RATE),)
        self.camera.behaviour.clock_offset_s = _CLOCK_STEPS_S[self._round % len(_CLOCK_STEPS_S)]
        self.camera.behaviour.first_timestamp = self._round * 7_000 * CLOCK_HZ
        self.camera.disconnect()
        wait_until(lambda: self.camera.sessions > sessions, timeout_s=60, what=lambda: self.relay.output[-400:])
        return sample

    def _sample(self) -> Sample:
        pid = self.relay.process.pid
        threads, descriptors, main_mb = resources(pid)
        children_mb = 0.0
        for child in descendants(pid):
            try:
                children_mb += resources(child)[2]
            except (FileNotFoundError, TypeError):  # it has just ended
                continue
        return Sample(self.camera.sent / RATE, main_mb, main_mb + children_mb, threads, descriptors)


@contextmanager
def soak(*, speed: float) -> Iterator[Soak]:
    """A relay that runs; `speed`: how much faster than real the camera sends, if the relay reads as fast."""
    behaviour = Behaviour(speed=speed)
    with RtspServer() as server, Camera(video(size=_SIZES[0], rate=RATE), behaviour=behaviour) as camera:
        options = ("--none", "--size", "160x90", "--speed", "ultrafast", "--quiet")
        with CliProcess("relay", camera.url(), server.url("out"), *options) as relay:
            started_s = time.monotonic()
            server.wait_for(lambda: server.is_publishing("out"), timeout_s=60)
            assert time.monotonic() - started_s < 60
            yield Soak(camera, relay, server)
