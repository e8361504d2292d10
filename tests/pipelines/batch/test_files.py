"""The files of a batch: folders, lists, and where each file is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepclarity.errors import SourceError, UsageError
from deepclarity.pipelines.batch.files import find_files


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def outputs(*inputs: Path, to: Path) -> list[str]:
    return [file.output.relative_to(to).as_posix() for file in find_files(inputs, to)]


def test_a_folder_is_mirrored_without_hidden_and_other_files(tmp_path: Path) -> None:
    touch(tmp_path / "in", "b.mp4", "a/x.png", "a/y.avi", ".hidden.mp4", ".git/z.mp4", "notes.txt", "readme")
    assert outputs(tmp_path / "in", to=tmp_path / "out") == ["a/x.png", "a/y.avi.mkv", "b.mp4"]


def test_an_output_folder_inside_the_input_is_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "out/a.mp4", "out/b.mp4")
    assert outputs(tmp_path, to=tmp_path / "out") == ["a.mp4"]


def test_a_folder_is_not_repaired_into_itself(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    with pytest.raises(UsageError, match="the output folder is the input"):
        find_files([tmp_path], tmp_path / "x" / "..")


def test_several_folders_are_mirrored_below_their_names(tmp_path: Path) -> None:
    touch(tmp_path, "one/a.mp4", "two/a.mp4", "c.png")
    found = outputs(tmp_path / "one", tmp_path / "two", tmp_path / "c.png", to=tmp_path / "out")
    assert found == ["one/a.mp4", "two/a.mp4", "c.png"]


def test_the_files_of_a_list_keep_their_paths_below_its_folder(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.mp4", "in/deep/b.png")
    (tmp_path / "in/list.txt").write_text(f"# comment\na.mp4\n\n{tmp_path}/in/deep/b.png\nmissing.mp4\n")
    assert outputs(tmp_path / "in/list.txt", to=tmp_path / "out") == ["a.mp4", "deep/b.png", "missing.mp4"]


def test_a_list_of_files_elsewhere_keeps_their_paths_below_the_folder_they_share(tmp_path: Path) -> None:
    touch(tmp_path, "x/a/1.mp4", "x/b/2.mp4")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/l.txt").write_text("../x/a/1.mp4\n../x/b/2.mp4\n")
    assert outputs(tmp_path / "lists/l.txt", to=tmp_path / "out") == ["a/1.mp4", "b/2.mp4"]


def test_two_files_for_one_output_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "one/a.mp4", "two/a.mp4")
    with pytest.raises(UsageError, match="would both be written"):
        find_files([tmp_path / "one/a.mp4", tmp_path / "two/a.mp4"], tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"\xff\xfe\x00"])
def test_a_list_without_readable_paths_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(SourceError, match=r"list\.txt: no"):
        find_files([tmp_path / "list.txt"], tmp_path / "out")


def test_a_missing_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere: no such file or folder"):
        find_files([tmp_path / "nowhere"], tmp_path / "out")
