"""Rate limit for failed sign-in attempts, per client address."""

from __future__ import annotations

import time
from collections import deque

_MAX_PER_MINUTE = 10
_MAX_ADDRESSES = 10_000


class RateLimiter:
    """Counts the failed sign-in attempts of the last minute, per client address."""

    def __init__(self) -> None:
        self._failed: dict[str, deque[float]] = {}

    def try_acquire(self, address: str) -> bool:
        """Whether `address` may attempt to sign in; the attempt counts as failed until `release` is called."""
        now = time.monotonic()
        attempts = self._failed.pop(address, deque[float]())
        while attempts and now - attempts[0] > 60:
            attempts.popleft()
        if len(attempts) < _MAX_PER_MINUTE:
            attempts.append(now)
            self._failed[address] = attempts  # moved to the end: the first address has been quiet for longest
            while len(self._failed) > _MAX_ADDRESSES:
                del self._failed[next(iter(self._failed))]
            return True
        self._failed[address] = attempts
        return False

    def release(self, address: str) -> None:
        """Remove the latest attempt from the count: it succeeded."""
        attempts = self._failed.get(address)
        if attempts:
            attempts.pop()
        if not attempts:
            self._failed.pop(address, None)
