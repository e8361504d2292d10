import sys
from pathlib import Path

import pytest

from deepclarity.atomic_write import atomic_write
from deepclarity.errors import OutputError


def test_file_is_replaced_and_no_temporary_file_left(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    atomic_write(path, b"new")
    assert path.read_bytes() == b"new"
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_symbolic_link_is_followed(tmp_path):
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    atomic_write(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


@pytest.mark.skipif(sys.platform != "linux", reason="needs a device that is always full")
def test_device_is_refused_and_unchanged():
    with pytest.raises(OutputError, match="not a regular file"):
        atomic_write(Path("/dev/full"), b"x")
    assert Path("/dev/full").is_char_device()


def test_failed_write_keeps_the_old_file_and_leaves_no_partial_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write_to_full_disk(self, content):
        with self.open("wb") as file:
            file.write(content[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_to_full_disk)
    with pytest.raises(OutputError, match="No space left on device"):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["file"]
