"""Exponential backoff with jitter between reconnects, and probing of the peer meanwhile."""

from __future__ import annotations

import random
import socket
import time

from deepclarity.stream.handover import BackgroundResult
from deepclarity.stream.rtsp.address import Address

_LONGEST_S = 30.0
_ANSWERING_S = 4.0
"""Maximum delay for a peer that answers, even if it refuses: a retry costs it nothing."""
_CAMERA_S = 2.0
_PROBE_EVERY_S = 1.0
_PROBE_S = 0.5
_JITTER = 0.2


class Backoff:
    """Delays of 1, 2, 4 … 30 s between attempts, with jitter, so that many relays do not reconnect at the same moment.

    Meanwhile the peer is probed once a second, so that a peer that is back is reached at once. A local camera is
    retried every two seconds.
    """

    def __init__(self, address: Address, *, rng: random.Random | None = None) -> None:
        self._address = address
        self._rng = rng or random.Random()
        self._failures = 0
        self._due_s = 0.0
        self._probe_due_s = 0.0
        self._was_alive: bool | None = None
        self._probe: BackgroundResult[bool] | None = None

    def succeeded(self) -> None:
        """Reset the delay: the next failure starts at 1 s again."""
        self._failures = 0

    def failed(self) -> float:
        """Start waiting after a failure; returns the maximum delay in seconds."""
        wait = _CAMERA_S if self._address.is_camera else min(_LONGEST_S, 2.0**self._failures)
        if not self._address.is_camera:
            wait *= 1 + self._rng.uniform(-_JITTER, _JITTER)
        self._failures += 1
        now = time.monotonic()
        self._due_s, self._probe_due_s = now + wait, now + _PROBE_EVERY_S
        self._was_alive = self._probe = None
        return wait

    def is_due(self) -> bool:
        """Whether to retry now. Never blocks."""
        now = time.monotonic()
        if now >= self._due_s:
            return True
        if self._probe is not None and self._probe.done:
            self._record_probe(alive=bool(self._probe.result), now=now)
        elif self._probe is None and now >= self._probe_due_s and self._address.can_be_probed:
            self._probe = BackgroundResult(lambda: is_reachable(self._address))
        return now >= self._due_s

    def _record_probe(self, *, alive: bool, now: float) -> None:
        self._probe, self._probe_due_s = None, now + _PROBE_EVERY_S
        if alive and self._was_alive is False:
            self._due_s = now  # the peer has just returned
        elif alive and self._failures > 1:
            self._due_s = min(self._due_s, now + _ANSWERING_S)
        self._was_alive = alive


def is_reachable(address: Address, *, timeout_s: float = _PROBE_S) -> bool:
    """Whether the peer is up: its port accepts connections, and an RTSP server answers a request."""
    assert address.host is not None
    assert address.port is not None
    try:
        with socket.create_connection((address.host, address.port), timeout_s) as peer:
            if address.scheme != "rtsp":
                return True
            peer.settimeout(timeout_s)
            place = f"rtsp://{address.host}:{address.port}/"
            peer.sendall(f"OPTIONS {place} RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: deepclarity\r\n\r\n".encode())
            return bool(peer.recv(1))
    except (OSError, ValueError):  # an invalid host name raises ValueError
        return False
