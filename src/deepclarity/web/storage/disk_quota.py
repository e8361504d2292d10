"""Room on the disk, promised to uploads before they arrive."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from deepclarity.web.security.limits import MEBI, Limits
from deepclarity.web.security.rejection import CutError

from .results import Shelf

_FREE_BYTES = 512 * MEBI


class Room:
    """Few uploads at a time, and none that would not fit beside the others."""

    def __init__(self, limits: Limits, shelf: Shelf) -> None:
        self._limits, self._shelf = limits, shelf
        self._promised: list[int] = []

    @asynccontextmanager
    async def kept(self, size_bytes: int) -> AsyncIterator[None]:
        """Keep room while an upload arrives; CutError where there is none. Nothing is needed for no bytes."""
        if not size_bytes:
            yield
            return
        if len(self._promised) >= self._limits.uploads_at_once:
            raise CutError(503, "Others are uploading. Try again in a moment.")
        self._promised.append(size_bytes)
        try:
            await self._check()
            yield
        finally:
            self._promised.remove(size_bytes)

    async def _check(self) -> None:
        free = shutil.disk_usage(self._shelf.folder).free
        taken = await asyncio.to_thread(self._shelf.size_bytes)
        promised = sum(self._promised)
        if taken + promised > self._limits.disk_bytes or free < _FREE_BYTES + promised:
            raise CutError(507, "The server has no room for more files now. Try again later.")
