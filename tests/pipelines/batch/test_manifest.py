"""The record of finished files: what it skips, and what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepclarity.errors import UsageError
from deepclarity.pipelines.batch.files import BatchFile
from deepclarity.pipelines.batch.manifest import NAME, Manifest


@pytest.fixture
def finished(tmp_path: Path) -> BatchFile:
    """A file that a batch with the options `x` has finished."""
    (tmp_path / "out").mkdir()
    file = BatchFile(tmp_path / "a.mp4", tmp_path / "out/a.mp4")
    file.source.write_bytes(b"source")
    file.output.write_bytes(b"output")
    with Manifest(tmp_path / "out") as manifest:
        manifest.add(file, file.source.stat(), "x", damaged=3)
    return file


def is_finished(file: BatchFile, options: str = "x") -> bool:
    with Manifest(file.output.parent) as manifest:
        return manifest.finished(file, options) is not None


def test_a_finished_file_is_found_by_a_later_run(finished: BatchFile) -> None:
    with Manifest(finished.output.parent) as manifest:
        entry = manifest.finished(finished, "x")
    assert entry is not None
    assert entry.damaged == 3


def test_other_options_are_another_output(finished: BatchFile) -> None:
    assert not is_finished(finished, "y")


@pytest.mark.parametrize("name", ["source", "output"])
def test_a_changed_or_missing_file_is_not_finished(finished: BatchFile, name: str) -> None:
    path: Path = getattr(finished, name)
    path.write_bytes(b"changed since")
    assert not is_finished(finished)
    path.unlink()
    assert not is_finished(finished)


def test_a_line_that_was_cut_off_costs_only_itself(finished: BatchFile) -> None:
    record = finished.output.parent / NAME
    record.write_bytes(record.read_bytes() + b'{"source": "b.mp4", "sou')
    other = BatchFile(finished.source, finished.output.with_name("b.mp4"))
    other.output.write_bytes(b"output")
    with Manifest(record.parent) as manifest:
        manifest.add(other, other.source.stat(), "x", damaged=0)
    assert is_finished(finished)
    assert is_finished(other)


def test_replaced_entries_do_not_fill_the_disk(finished: BatchFile) -> None:
    for _ in range(3):
        with Manifest(finished.output.parent) as manifest:
            for number in range(100):
                manifest.add(finished, finished.source.stat(), str(number), damaged=0)
    assert is_finished(finished, "99")
    assert len((finished.output.parent / NAME).read_bytes().splitlines()) < 210


def test_two_runs_never_write_to_one_folder(finished: BatchFile) -> None:
    pytest.importorskip("fcntl")
    with Manifest(finished.output.parent), pytest.raises(UsageError, match="another batch"):
        Manifest(finished.output.parent)
    assert is_finished(finished)
