"""Room on the disk, promised to uploads before they arrive."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from deepclarity.web.security.limits import MEBI, Limits
from deepclarity.web.security.rejection import RequestRejectedError

from .results import ResultStore

_FREE_BYTES = 512 * MEBI


class DiskQuota:
    """Few uploads at a time, and none that would not fit beside the others."""

    def __init__(self, limits: Limits, store: ResultStore) -> None:
        self._limits, self._store = limits, store
        self._promised: list[int] = []

    @asynccontextmanager
    async def kept(self, size_bytes: int) -> AsyncIterator[None]:
        """Keep room while an upload arrives; CutError where there is none. Nothing is needed for no bytes."""
        if not size_bytes:
            yield
            return
        if len(self._promised) >= self._limits.uploads_at_once:
            raise RequestRejectedError(503, "Others are uploading. Try again in a moment.")
        self._promised.append(size_bytes)
        try:
            await self._check()
            yield
        finally:
            self._promised.remove(size_bytes)

    async def _check(self) -> None:
        free = shutil.disk_usage(self._store.folder).free
        taken = await asyncio.to_thread(self._store.size_bytes)
        promised = sum(self._promised)
        if taken + promised > self._limits.disk_bytes or free < _FREE_BYTES + promised:
            raise RequestRejectedError(507, "The server has no room for more files now. Try again later.")
