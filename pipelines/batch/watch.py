"""Watches folders that fill: a file is taken when it has stopped growing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from deepclarity.errors import SourceError

from .files import BatchFile, find_files

_SCAN_INTERVAL_S = 0.5

_State = tuple[int, int]
"""Size and modification time in nanoseconds."""


class Watcher:
    """Finds the files of a batch again and again, and returns each as soon as it has settled.

    By polling, which works on every file system, network drives included.
    """

    def __init__(
        self,
        inputs: Sequence[Path],
        output_dir: Path,
        *,
        settle_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inputs, self._output_dir, self._settle_s, self._clock = inputs, output_dir, settle_s, clock
        self._seen: dict[Path, tuple[_State, float]] = {}
        self._taken: dict[Path, _State] = {}
        self._last_scan: float | None = None

    def settled(self) -> list[BatchFile]:
        """The files whose size and time have not changed for `settle_s`, and that were not returned as they are now."""
        now, ready, present = self._clock(), [], set()
        if self._last_scan is not None and now - self._last_scan < _SCAN_INTERVAL_S:
            return []
        for file in self._scan(now):
            try:
                stat = file.source.stat()
            except OSError:  # gone since it was listed
                continue
            present.add(file.source)
            state = stat.st_size, stat.st_mtime_ns
            known, since = self._seen.get(file.source, (None, now))
            if state != known:
                self._seen[file.source] = state, now
            elif now - since >= self._settle_s and self._taken.get(file.source) != state and stat.st_size:
                self._taken[file.source] = state
                ready.append(file)
        self._seen = {path: value for path, value in self._seen.items() if path in present}
        return ready

    def _scan(self, now: float) -> list[BatchFile]:
        """The files there are; none if a folder vanishes meanwhile, unless it was never there."""
        first, self._last_scan = self._last_scan is None, now
        try:
            return find_files(self._inputs, self._output_dir)
        except SourceError:
            if first:
                raise
            return []
