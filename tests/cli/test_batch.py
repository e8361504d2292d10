"""`deepclarity batch`: a mirrored tree, skipped and failed files, several processes, interruption."""

from __future__ import annotations

import json
import os
import shutil
import signal
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from deepclarity.cli.app import run
from deepclarity.pipelines.batch import pool
from deepclarity.pipelines.demo.scene import pixelate
from deepclarity.stream.pictures.gif import GifEncoder
from tests.clips import ClipSpec, encode_clip, encode_long_clip
from tests.commands import expect_error, start_command, wait_for_exit, wait_for_file, wait_for_size
from tests.conftest import Rgb

OPTIONS = ("--size", "160x90", "--speed", "ultrafast", "--model", "lanczos")


@pytest.fixture
def folder(tmp_path: Path, painting: Rgb) -> Path:
    """Three videos, one of them a GIF, a clean and a pixelated picture, and two broken files."""
    source = tmp_path / "in"
    (source / "deep").mkdir(parents=True)
    encode_clip(source / "a.mp4", ClipSpec(count=5))
    encode_clip(source / "deep/b.avi", ClipSpec(count=5, codec="mpeg4"))
    cv2.imwrite(str(source / "clean.png"), painting)
    cv2.imwrite(str(source / "deep/blocks.png"), pixelate(painting, block_px=6))
    with GifEncoder(source / "deep/cat.gif", size=(64, 36), loops=0) as encoder:
        for level in (50, 100):
            encoder.add(np.full((36, 64, 4), level + 155, np.uint8), Fraction(1, 10), exact=True)
        encoder.finish()
    (source / "broken.mp4").write_bytes(b"not a video" * 50)
    (source / "deep/broken.png").write_bytes(b"not a picture" * 50)
    return source


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def run_batch(source: Path, target: Path, *options: str) -> int:
    return run(["batch", str(source), "-o", str(target), *OPTIONS, *options])


def test_good_files_are_done_bad_ones_named_and_a_second_run_does_nothing(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_batch(folder, tmp_path / "one") == 3
    printed = capfd.readouterr()
    assert len(printed.err.splitlines()) == 2
    for name in ("broken.mp4", "deep/broken.png"):
        assert f"deepclarity: {folder / name}: not a" in printed.err
        assert f"  {folder / name}: not a" in printed.out
    done = tree(tmp_path / "one")
    assert sorted(done) == ["a.mp4", "clean.png", "deep/b.avi.mkv", "deep/blocks.png", "deep/cat.gif"]
    assert done["clean.png"] == (folder / "clean.png").read_bytes()
    before, after = (cv2.imread(str(each / "deep/blocks.png")) for each in (folder, tmp_path / "one"))
    assert before.shape == after.shape
    assert np.abs(before.astype(int) - after).mean() > 1

    assert run_batch(folder, tmp_path / "two", "--jobs", "2", "-q") == 3
    assert tree(tmp_path / "two") == done

    for name in ("broken.mp4", "deep/broken.png"):
        (folder / name).unlink()
    capfd.readouterr()
    monkeypatch.setattr(pool.WorkerPool, "submit", None)
    assert run_batch(folder, tmp_path / "one", "--json") == 0
    summary = json.loads(capfd.readouterr().out)
    assert {key: summary[key] for key in ("files", "skipped", "failed")} == {"files": 5, "skipped": 5, "failed": 0}


def test_a_file_that_no_batch_wrote_is_not_replaced(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "a.mp4").write_bytes(b"mine")
    (tmp_path / "list.txt").write_text("in/a.mp4\n")
    (target / "in").mkdir()
    (target / "in/a.mp4").write_bytes(b"mine")
    assert run_batch(tmp_path / "list.txt", target) == 3
    assert "already exists, and no batch wrote it. Add -y" in capfd.readouterr().err
    assert (target / "in/a.mp4").read_bytes() == b"mine"
    assert run_batch(tmp_path / "list.txt", target, "-y", "-q") == 0
    assert (target / "in/a.mp4").read_bytes() != b"mine"


@pytest.mark.parametrize(
    "options",
    [("--model", "nonsense"), ("--size", "huge"), ("--codec", "mpeg9"), ("--method", "magic"), ("--jobs", "0")],
)
def test_bad_options_end_the_run_before_it_starts(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], options: tuple[str, str]
) -> None:
    assert options[1] in expect_error(capfd, tmp_path, "batch", folder, "-o", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_videos_is_bad_usage(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    assert "no pictures or videos" in expect_error(capfd, tmp_path, "batch", tmp_path / "in", "-o", tmp_path / "out")


def test_ctrl_c_leaves_no_half_written_file(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    encode_long_clip(tmp_path / "in/long.mp4", 600)
    options = ("--size", "1280x720", "--none", "--speed", "ultrafast")
    process = start_command("batch", tmp_path / "in", "-o", tmp_path / "out", *options)
    wait_for_size(tmp_path / "out/long.partial.mp4", 10_000, process)
    process.send_signal(signal.SIGINT)
    code, stderr = wait_for_exit(process, timeout_s=30)
    assert (code, stderr) == (130, "deepclarity: stopped.\n")
    assert tree(tmp_path / "out") == {}


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_ctrl_c_in_a_terminal_reaches_all_processes_and_is_reported_once(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(encode_long_clip(tmp_path / "in/a.mp4", 300), tmp_path / "in/b.mp4")
    process = start_command("batch", tmp_path / "in", "-o", tmp_path / "out", "--jobs", "2", "--none", group=True)
    wait_for_file(tmp_path / "out/.deepclarity-batch.jsonl", process)
    os.killpg(process.pid, signal.SIGINT)  # most likely while the workers still import libraries
    code, stderr = wait_for_exit(process, timeout_s=30)
    assert (code, stderr) == (130, "deepclarity: stopped.\n")
    assert tree(tmp_path / "out") == {}


def test_watching_takes_files_as_they_come(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    options = ("--size", "160x90", "--none", "--speed", "ultrafast", "--settle", "0.1")
    process = start_command("batch", tmp_path / "in", "-o", tmp_path / "out", "--watch", *options)
    wait_for_file(tmp_path / "out/.deepclarity-batch.jsonl", process)
    encode_clip(tmp_path / "in/a.mp4", ClipSpec(count=5))
    wait_for_size(tmp_path / "out/a.mp4", 1, process)
    wait_for_size(tmp_path / "out/.deepclarity-batch.jsonl", 1, process)
    process.send_signal(signal.SIGINT)
    code, stderr = wait_for_exit(process, timeout_s=30)
    assert (code, stderr) == (0, "")
    assert sorted(tree(tmp_path / "out")) == ["a.mp4"]
