"""Watching folders: a file is taken once it has stopped growing."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepclarity.errors import SourceError
from deepclarity.pipelines.batch.watch import Watcher


class Clock:
    """A clock that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_growing_file_is_taken_when_it_has_settled_and_again_when_it_changes(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "in/a.mp4"
    path.parent.mkdir()
    watcher = Watcher([path.parent], tmp_path / "out", settle_s=2, clock=clock)
    assert watcher.settled() == []
    taken: list[tuple[float, int]] = []
    sizes = [0, 0, 0, 0, 10, 20, 30, 30, 30, 30, 30, 40, 40, 40, 40]
    for second, size in enumerate(sizes):
        clock.now = float(second)
        if not path.exists() or path.stat().st_size != size:
            path.write_bytes(b"x" * size)
        taken += [(clock.now, file.source.stat().st_size) for file in watcher.settled()]
    assert taken == [(8.0, 30), (13.0, 40)]


def test_a_folder_that_vanishes_is_waited_for_unless_it_never_existed(tmp_path: Path) -> None:
    clock, folder = Clock(), tmp_path / "in"
    watcher = Watcher([folder], tmp_path / "out", settle_s=2, clock=clock)
    with pytest.raises(SourceError):
        watcher.settled()
    clock.now = 1
    assert watcher.settled() == []
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"x")
    clock.now = 2
    assert watcher.settled() == []
    clock.now = 4
    assert [file.source.name for file in watcher.settled()] == ["a.mp4"]


def test_a_file_that_vanishes_is_forgotten(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "in/a.mp4"
    path.parent.mkdir()
    path.write_bytes(b"x")
    watcher = Watcher([path.parent], tmp_path / "out", settle_s=2, clock=clock)
    watcher.settled()
    path.unlink()
    clock.now = 5
    assert watcher.settled() == []
