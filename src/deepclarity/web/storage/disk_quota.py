"""Disk quota: reserves space for uploads before they arrive."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from deepclarity.web.errors import RefusedError, RequestRejectedError
from deepclarity.web.limits import MEBI, Limits

from .results import ResultStore

_MIN_FREE_BYTES = 512 * MEBI


def check_result_space(limits: Limits, store: ResultStore, size_bytes: int) -> None:
    """RefusedError if a result of at most `size_bytes` would exceed the quota, or fill the disk."""
    free = shutil.disk_usage(store.folder).free
    if store.size_bytes() + size_bytes > limits.disk_bytes or free < _MIN_FREE_BYTES + size_bytes:
        raise RefusedError("The server has no disk space for more results. Try again later.")


class DiskQuota:
    """Limits the number of concurrent uploads, and rejects those that would not fit on the disk."""

    def __init__(self, limits: Limits, store: ResultStore) -> None:
        self._limits, self._store = limits, store
        self._reservations: list[int] = []

    @asynccontextmanager
    async def reserve(self, size_bytes: int) -> AsyncIterator[None]:
        """Reserve space while an upload arrives; zero bytes need no reservation.

        RequestRejectedError when there are too many uploads (503) or too little space (507).
        """
        if not size_bytes:
            yield
            return
        if len(self._reservations) >= self._limits.max_concurrent_uploads:
            raise RequestRejectedError(503, "Too many uploads at the moment. Try again shortly.")
        self._reservations.append(size_bytes)
        try:
            await self._check_space()
            yield
        finally:
            self._reservations.remove(size_bytes)

    async def _check_space(self) -> None:
        free = shutil.disk_usage(self._store.folder).free
        used = await asyncio.to_thread(self._store.size_bytes)
        reserved = sum(self._reservations)
        if used + reserved > self._limits.disk_bytes or free < _MIN_FREE_BYTES + reserved:
            raise RequestRejectedError(507, "The server has no disk space for more files. Try again later.")
