"""The result store: expired files are deleted, files in use are kept."""

from __future__ import annotations

import os
from pathlib import Path

from deepclarity.web.storage.results import ResultStore


def test_sweep_deletes_expired_results_and_partial_uploads(tmp_path: Path) -> None:
    store = ResultStore(tmp_path, retention_s=100)
    old, new, partial = store.new_path("old.png"), store.new_path("new.png"), tmp_path / "tmpabc"
    for path, age_s in ((old, 200), (new, 0), (partial, 60)):
        path.write_bytes(b"x")
        modified = path.stat().st_mtime - age_s
        os.utime(path, (modified, modified))
    store.sweep()
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["new.png"]
    assert not old.parent.exists()
    assert store.find(new.parent.name, "new.png") == new
    assert store.find(new.parent.name, "../new.png") is None
    assert store.find("../results", "new.png") is None


def test_sweep_keeps_files_in_use(tmp_path: Path) -> None:
    store = ResultStore(tmp_path, retention_s=100)
    film, empty = tmp_path / "film.mp4", tmp_path / "abc"
    film.write_bytes(b"x")
    empty.mkdir()
    for path in (film, empty):
        os.utime(path, (1, 1))
    with store.keep(film):
        store.sweep()
        assert film.is_file()
    store.sweep()
    assert film.is_file()
    os.utime(film, (1, 1))
    store.sweep()
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
