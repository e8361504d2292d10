"""Exponential backoff with jitter between reconnects; probes the peer while waiting."""

from __future__ import annotations

import random
import socket
import time

from deepclarity.stream.handover import BackgroundResult
from deepclarity.stream.rtsp.address import Address

_MAX_DELAY_S = 30.0
_MAX_DELAY_REACHABLE_S = 4.0
"""Maximum delay if the peer is reachable, even if it refuses: retrying is cheap."""
_CAMERA_DELAY_S = 2.0
_PROBE_INTERVAL_S = 1.0
_PROBE_TIMEOUT_S = 0.5
_JITTER = 0.2


class Backoff:
    """Delays of 1, 2, 4 … 30 s between attempts, with jitter so that many relays do not reconnect at the same moment.

    While waiting, the peer is probed once a second, and as soon as it is back the delay ends. A local camera is retried
    every two seconds.
    """

    def __init__(self, address: Address, *, rng: random.Random | None = None) -> None:
        self._address = address
        self._rng = rng or random.Random()
        self._failures = 0
        self._retry_at_s = 0.0
        self._probe_at_s = 0.0
        self._was_alive: bool | None = None
        self._probe: BackgroundResult[bool] | None = None

    def succeeded(self) -> None:
        """Reset the delay to 1 s after a successful attempt."""
        self._failures = 0

    def failed(self) -> float:
        """Start a delay after a failed attempt; returns the maximum delay in seconds."""
        delay_s = _CAMERA_DELAY_S if self._address.is_camera else min(_MAX_DELAY_S, 2.0**self._failures)
        if not self._address.is_camera:
            delay_s *= 1 + self._rng.uniform(-_JITTER, _JITTER)
        self._failures += 1
        now = time.monotonic()
        self._retry_at_s, self._probe_at_s = now + delay_s, now + _PROBE_INTERVAL_S
        self._was_alive = self._probe = None
        return delay_s

    def is_due(self) -> bool:
        """Whether to retry now. Never blocks."""
        now = time.monotonic()
        if now >= self._retry_at_s:
            return True
        if self._probe is not None and self._probe.done:
            self._record_probe(alive=bool(self._probe.result), now=now)
        elif self._probe is None and now >= self._probe_at_s and self._address.can_be_probed:
            self._probe = BackgroundResult(lambda: is_reachable(self._address))
        return now >= self._retry_at_s

    def _record_probe(self, *, alive: bool, now: float) -> None:
        self._probe, self._probe_at_s = None, now + _PROBE_INTERVAL_S
        if alive and self._was_alive is False:
            self._retry_at_s = now  # the peer has just come back
        elif alive and self._failures > 1:
            self._retry_at_s = min(self._retry_at_s, now + _MAX_DELAY_REACHABLE_S)
        self._was_alive = alive


def is_reachable(address: Address, *, timeout_s: float = _PROBE_TIMEOUT_S) -> bool:
    """Whether the peer is up: its port accepts connections, and an RTSP server answers a request."""
    assert address.host is not None
    assert address.port is not None
    try:
        with socket.create_connection((address.host, address.port), timeout_s) as connection:
            if address.scheme != "rtsp":
                return True
            connection.settimeout(timeout_s)
            url = f"rtsp://{address.host}:{address.port}/"
            connection.sendall(f"OPTIONS {url} RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: deepclarity\r\n\r\n".encode())
            return bool(connection.recv(1))
    except (OSError, ValueError):  # an invalid host name raises ValueError
        return False
