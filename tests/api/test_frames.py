"""`repair` on frames in memory: order, identity of clean frames, look-ahead, sizes, errors."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import deepclarity as dc
from deepclarity.pipelines.demo.scene import pan

Array = NDArray[Any]


@pytest.fixture
def clip(painting: Array) -> list[Array]:
    """12 RGB frames, (180, 320, 3), of which 4 to 8 are in 4-pixel blocks."""
    frames = [np.ascontiguousarray(frame) for frame in pan(painting, count=12, width=320, height=180)]
    for index in range(4, 9):
        frames[index] = np.ascontiguousarray(frames[index][::4, ::4].repeat(4, axis=0).repeat(4, axis=1))
    return frames


def repaired(clip: list[Array], **options: Any) -> tuple[list[Array], list[str]]:
    lanes: list[str] = []

    def note(record: dc.FrameRecord) -> None:
        lanes.append(record.lane)

    return list(dc.repair(clip, rate=25, model="turbo", order="rgb", on_frame=note, **options)), lanes


def test_only_pixelated_frames_change_and_the_others_are_the_same_objects(clip: list[Array]) -> None:
    frames, lanes = repaired(clip)
    assert lanes == ["pass"] * 4 + ["enhance"] * 5 + ["pass"] * 3
    for index, (before, after) in enumerate(zip(clip, frames, strict=True)):
        assert (after is before) == (lanes[index] == "pass")
        assert (after.shape, after.dtype) == (before.shape, before.dtype)


def test_look_ahead_is_bounded_and_zero_adds_no_delay(clip: list[Array]) -> None:
    for look_ahead in (0, 2):
        read: list[int] = []

        def source(read: list[int] = read) -> Iterator[Array]:
            for index, frame in enumerate(clip):
                read.append(index)
                yield frame

        for index, _ in enumerate(dc.repair(source(), model="turbo", order="rgb", look_ahead=look_ahead)):
            assert len(read) <= index + 1 + look_ahead


def test_which_all_and_none(clip: list[Array]) -> None:
    frames, lanes = repaired(clip, which="none")
    assert all(after is before for before, after in zip(clip, frames, strict=True))
    assert set(lanes) == {"pass"}
    assert repaired(clip, which="all", size=(640, 360))[1] == ["enhance"] * 12


def test_size_is_that_of_every_frame(clip: list[Array]) -> None:
    frames, lanes = repaired(clip, size=(640, 360))
    assert {frame.shape for frame in frames} == {(360, 640, 3)}
    assert lanes == ["resize"] * 4 + ["enhance"] * 5 + ["resize"] * 3
    for before, after in zip(clip, frames, strict=True):
        assert np.abs(after[::2, ::2].astype(int) - before).mean() < 12


def test_no_frames_give_no_frames() -> None:
    assert list(dc.repair([])) == []


def test_an_error_of_the_input_comes_after_the_frames_before_it(clip: list[Array]) -> None:
    def broken() -> Iterator[Array]:
        yield from clip[:5]
        raise OSError("camera lost")

    seen = []
    with pytest.raises(OSError, match="camera lost"):
        for frame in dc.repair(broken(), model="turbo", order="rgb"):
            seen.append(frame)  # noqa: PERF402  # what came before the error counts
    assert len(seen) == 5


def test_a_frame_of_another_shape_is_refused_by_its_number(clip: list[Array]) -> None:
    with pytest.raises(dc.errors.UsageError, match="frame 1: shape"):
        list(dc.repair([clip[0], clip[1][:90]], model="turbo"))


@pytest.mark.parametrize(
    "options", [{"rate": 0}, {"look_ahead": -1}, {"which": "some"}, {"size": (0, 2)}, {"order": "xyz"}]
)
def test_unusable_options_are_refused_at_the_call(options: dict[str, Any]) -> None:
    with pytest.raises(dc.errors.UsageError):
        dc.repair([], **options)


def test_sixteen_bits_and_several_threads(clip: list[Array]) -> None:
    deep = [frame.astype(np.uint16) * 257 for frame in clip]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda frames: repaired(frames)[0], [deep, clip, deep]))
    assert {frame.dtype for frame in results[0]} == {np.dtype(np.uint16)}
    assert all(np.array_equal(one, other) for one, other in zip(results[0], results[2], strict=True))
    assert all(np.array_equal(one, other) for one, other in zip(results[1], repaired(clip)[0], strict=True))
