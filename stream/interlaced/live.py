"""Deinterlacing of live pictures: at the source's rate, with the least delay."""

from __future__ import annotations

from collections import deque

from av.video.frame import VideoFrame

from .bwdif import Bwdif, FieldLabel, FieldOrderReader
from .combs import SLIGHT, Luma, comb_score, sample_luma


class LiveDeinterlacer:
    """Deinterlaces the pictures that the decoder calls interlaced and that are combed; the others pass unchanged.

    From the first interlaced picture on, every picture comes one later: bwdif needs the next one. A progressive
    source is neither delayed nor analysed.
    """

    def __init__(self) -> None:
        self._read_order = FieldOrderReader()
        self._label = FieldLabel()
        self._bwdif: Bwdif | None = None
        self._waiting: deque[VideoFrame | None] = deque()
        self._previous: Luma | None = None

    def push(self, picture: VideoFrame) -> list[VideoFrame]:
        """Add a picture; returns the pictures that are ready, one for each that was added, in order."""
        reported = self._read_order(picture)
        if self._bwdif is None and reported is None:
            return [picture]
        if self._bwdif is None:
            self._bwdif = Bwdif(per_field=False)
        order = reported if reported is not None and self._is_combed(picture) else None
        progressive = picture if reported is None else self._label(picture, None)
        self._waiting.append(progressive if order is None else None)
        return self._ready(self._bwdif.push(picture, order))

    def flush(self) -> list[VideoFrame]:
        """The pictures that are left."""
        return [] if self._bwdif is None else self._ready(self._bwdif.flush())

    def _is_combed(self, picture: VideoFrame) -> bool:
        luma = sample_luma(picture)
        previous, self._previous = self._previous, luma
        return comb_score(luma, previous) >= SLIGHT

    def _ready(self, deinterlaced: list[list[VideoFrame]]) -> list[VideoFrame]:
        ready = []
        for results in deinterlaced:
            unchanged = self._waiting.popleft()
            ready.append(results[0] if unchanged is None else unchanged)
        return ready
