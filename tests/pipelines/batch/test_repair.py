"""One file of a batch: every failure is a result, and nothing half-written stays."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from deepclarity.pipelines.batch.files import BatchFile
from deepclarity.pipelines.batch.records import BatchOptions, FileResult, Outcome
from deepclarity.pipelines.batch.repair import reason_of, repair_file
from deepclarity.pipelines.demo.scene import pixelate
from deepclarity.pipelines.load_executor import Networks
from deepclarity.pipelines.preset import Preset
from deepclarity.pipelines.route import FrameSelection
from tests.clips import ClipSpec, encode_clip
from tests.conftest import Rgb

OPTIONS = BatchOptions(
    Preset(model="lanczos", method="grid", size="160x90", speed="ultrafast"), picture_model="lanczos"
)


@pytest.fixture
def networks() -> Iterator[Networks]:
    with contextlib.closing(Networks()) as networks:
        yield networks


def repair(source: Path, networks: Networks, options: BatchOptions = OPTIONS) -> FileResult:
    target = source.parent / "out" / source.name
    target.parent.mkdir(exist_ok=True)
    return repair_file(BatchFile(source, target), options, networks, lambda progress: None)


@pytest.mark.parametrize(
    ("which", "pixelated", "outcome"),
    [
        (FrameSelection.PIXELATED, True, Outcome.REPAIRED),
        (FrameSelection.PIXELATED, False, Outcome.CLEAN),
        (FrameSelection.NONE, True, Outcome.CLEAN),
        (FrameSelection.ALL, False, Outcome.REPAIRED),
    ],
)
def test_the_choice_of_frames_holds_for_pictures(
    tmp_path: Path, painting: Rgb, networks: Networks, which: FrameSelection, *, pixelated: bool, outcome: Outcome
) -> None:
    picture = np.ascontiguousarray(painting[:270, :480])
    cv2.imwrite(str(tmp_path / "a.png"), pixelate(picture, block_px=6) if pixelated else picture)
    options = replace(OPTIONS, preset=replace(OPTIONS.preset, which=which))
    assert repair(tmp_path / "a.png", networks, options).outcome is outcome
    same = (tmp_path / "out/a.png").read_bytes() == (tmp_path / "a.png").read_bytes()
    assert same == (outcome is Outcome.CLEAN or not pixelated)  # Lanczos at the same size changes nothing


def test_a_damaged_video_is_done_and_says_so(tmp_path: Path, networks: Networks) -> None:
    clip = encode_clip(tmp_path / "a.mp4", ClipSpec(count=20, container_options={"movflags": "faststart"}))
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 3 // 4])
    result = repair(clip, networks)
    assert result.outcome is not Outcome.FAILED
    assert result.damaged > 0
    assert (tmp_path / "out/a.mp4").exists()


@pytest.mark.parametrize("name", ["a.mp4", "a.png", "a.gif"])
def test_a_broken_file_is_a_reason_without_its_name(tmp_path: Path, networks: Networks, name: str) -> None:
    (tmp_path / name).write_bytes(b"nothing of the kind" * 20)
    result = repair(tmp_path / name, networks)
    assert result.outcome is Outcome.FAILED
    assert result.reason.endswith(".")
    assert name not in result.reason
    assert list((tmp_path / "out").iterdir()) == []


def test_what_a_killed_run_left_is_removed(tmp_path: Path, networks: Networks) -> None:
    clip = encode_clip(tmp_path / "a.mp4", ClipSpec(count=3))
    (tmp_path / "out").mkdir()
    for name in ("a.partial.mp4", "a.partial.mp4.json", "a.partial.faststart.mp4"):
        (tmp_path / "out" / name).write_bytes(b"left over")
    result = repair(clip, networks)
    assert (result.outcome, result.warnings) == (Outcome.REPAIRED, ())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.mp4"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), "out of memory. Use fewer --jobs, or a smaller --size."),
        (OSError(28, "No space left on device"), "No space left on device. Check the disk."),
        (KeyError("x"), "internal error: KeyError: 'x'. Report this bug."),
    ],
)
def test_every_error_is_one_line(error: Exception, expected: str) -> None:
    assert reason_of(error, Path("a.mp4")) == expected
