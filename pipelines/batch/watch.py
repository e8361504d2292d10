"""Watches folders that fill: a file is taken when it has stopped growing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from .files import BatchFile, find_files

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

    def settled(self) -> list[BatchFile]:
        """The files whose size and time have not changed for `settle_s`, and that were not returned as they are now."""
        now, ready, present = self._clock(), [], set()
        for file in find_files(self._inputs, self._output_dir):
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
