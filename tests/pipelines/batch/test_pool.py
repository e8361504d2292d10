"""Worker processes: one that dies costs its file alone, and none outlives the pool."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from deepclarity.pipelines.batch.files import BatchFile
from deepclarity.pipelines.batch.pool import WorkerPool
from deepclarity.pipelines.batch.records import BatchOptions, FileProgress, FileResult, Outcome
from deepclarity.pipelines.preset import Preset
from deepclarity.pipelines.route import FrameSelection
from tests.clips import ClipSpec, encode_clip, encode_long_clip

OPTIONS = BatchOptions(replace(Preset(), which=FrameSelection.NONE, speed="ultrafast", size="960x540"))


def next_message(pool: WorkerPool) -> FileResult | FileProgress:
    while True:
        for message in pool.results(timeout_s=60):
            return message


def contents(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_a_worker_that_dies_costs_its_file_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    slow = BatchFile(encode_long_clip(tmp_path / "long.mp4"), tmp_path / "out/long.mp4")
    quick = BatchFile(encode_clip(tmp_path / "clip.mp4", ClipSpec(count=2)), tmp_path / "out/clip.mp4")
    with WorkerPool(OPTIONS, jobs=1) as pool:
        pool.submit(slow)
        assert isinstance(next_message(pool), FileProgress)
        os.kill(pool.process_ids[0], signal.SIGKILL)
        result = next_message(pool)
        while isinstance(result, FileProgress):
            result = next_message(pool)
        assert result.outcome is Outcome.FAILED
        assert "SIGKILL" in result.reason
        assert contents(tmp_path / "out") == []
        pool.submit(quick)
        result = next_message(pool)
        assert isinstance(result, FileResult)
        assert result.outcome is Outcome.CLEAN
    assert contents(tmp_path / "out") == ["clip.mp4"]


def test_a_pool_that_is_left_ends_its_workers_and_removes_partial_files(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with WorkerPool(OPTIONS, jobs=1) as pool:
        pool.submit(BatchFile(encode_long_clip(tmp_path / "long.mp4"), tmp_path / "out/long.mp4"))
        assert isinstance(next_message(pool), FileProgress)
        assert contents(tmp_path / "out") != []
        (process,) = pool.process_ids
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    assert contents(tmp_path / "out") == []
