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


def test_a_result_expires_with_all_its_files_and_is_remembered(tmp_path: Path) -> None:
    store = ResultStore(tmp_path, retention_s=100)
    picture = store.new_path("after.png")
    second, token = picture.with_name("before.png"), picture.parent.name
    for path, age_s in ((picture, 200), (second, 50)):
        path.write_bytes(b"x")
        modified = path.stat().st_mtime - age_s
        os.utime(path, (modified, modified))
    store.sweep()
    assert store.find(token, "after.png") == picture
    os.utime(second, (1, 1))
    with store.hold(second):
        store.sweep()
        assert second.is_file()
    store.sweep()
    assert not picture.parent.exists()
    assert store.has_expired(token)
    assert not store.has_expired("x" * 32)


def test_the_page_of_a_result_lives_as_long_as_its_files(tmp_path: Path) -> None:
    store = ResultStore(tmp_path, retention_s=100)
    picture = store.new_path("after.png")
    token = picture.parent.name
    assert store.page(token) is None
    picture.write_bytes(b"x")
    store.save_page(picture, "<p>Größe</p>")
    found = store.page(token)
    assert found is not None
    assert found[0] == "<p>Größe</p>"
    assert 90 < found[1] <= 100
    assert store.link(picture) == f"/results/{token}"
    assert store.find(token, ".page.html") is None
    assert store.page("../results") is None
    for path in picture.parent.iterdir():
        os.utime(path, (1, 1))
    store.sweep()
    assert store.page(token) is None


def test_a_file_with_two_names_takes_its_space_once(tmp_path: Path) -> None:
    store = ResultStore(tmp_path, retention_s=100)
    (tmp_path / "upload").write_bytes(b"x" * 1000)
    os.link(tmp_path / "upload", store.new_path("link"))
    assert store.size_bytes() == 1000
