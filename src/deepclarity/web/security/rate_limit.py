"""Guesses at the password, so many a minute."""

from __future__ import annotations

import time
from collections import deque

_A_MINUTE = 10
_ADDRESSES_KEPT = 10_000


class RateLimiter:
    """Who has tried to sign in during the last minute, and failed."""

    def __init__(self) -> None:
        self._failed: dict[str, deque[float]] = {}

    def begin(self, address: str) -> bool:
        """Whether another attempt may be made; it has failed until `forgive` is called."""
        now = time.monotonic()
        tries = self._failed.pop(address, deque[float]())
        while tries and now - tries[0] > 60:
            tries.popleft()
        if len(tries) < _A_MINUTE:
            tries.append(now)
            self._failed[address] = tries  # to the end: the first of them has been quiet for longest
            while len(self._failed) > _ADDRESSES_KEPT:
                del self._failed[next(iter(self._failed))]
            return True
        self._failed[address] = tries
        return False

    def forgive(self, address: str) -> None:
        """The latest attempt was none to guess."""
        tries = self._failed.get(address)
        if tries:
            tries.pop()
        if not tries:
            self._failed.pop(address, None)
