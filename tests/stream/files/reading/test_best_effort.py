"""When each picture is shown, where its file does not say so correctly: as FFmpeg's best-effort rule has it."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import av
import pytest
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame

from deepclarity.stream.files.reading.best_effort import BestEffortTimestamps
from deepclarity.stream.files.source import FileSource
from tests.clips import ClipSpec, encode_clip
from tests.commands import QUICK, run_upscale
from tests.decoding import decode_frames, frame_times


def picture(pts: int | None, dts: int | None) -> VideoFrame:
    return cast("VideoFrame", SimpleNamespace(pts=pts, dts=dts))


def test_b_frames_in_avi_are_evenly_spaced(tmp_path: Path) -> None:
    """AVI stores no presentation times, as in every DivX film."""
    spec = ClipSpec(count=24, codec="mpeg4", options={"bf": "2", "b_strategy": "0"})
    path, target = encode_clip(tmp_path / "a.avi", spec), tmp_path / "o.mp4"
    with FileSource(path) as source:
        times = [frame.pts for frame in source]
    assert {after - before for before, after in pairwise(times)} == {1}
    assert run_upscale(path, target, *QUICK) == 0
    steps = frame_times(target)
    assert {after - before for before, after in pairwise(steps)} == {Fraction(1, 25)}
    brightness = [frame.brightness for frame in decode_frames(target)]
    assert brightness == sorted(brightness)


def test_packed_b_frames_are_each_shown_once_and_evenly(tmp_path: Path) -> None:
    """As in DivX films: one packet holds two pictures, and an empty one follows."""
    spec = ClipSpec(count=24, codec="mpeg4", options={"bf": "1", "b_strategy": "0", "g": "12"})
    path = tmp_path / "packed.avi"
    with av.open(str(encode_clip(tmp_path / "a.avi", spec))) as read, av.open(str(path), "w") as write:
        video = read.streams.video[0]
        copy = write.add_stream_from_template(video, opaque=True)
        pictures = [bytes(packet) for packet in read.demux(video) if packet.size]
        packed = [pictures[0].replace(b"\0\0\1\xb6", b"\0\0\1\xb2DivX503b1393p\0\0\1\xb6", 1)]
        for first, second in zip(pictures[1::2], [*pictures[2::2], b""], strict=True):
            packed += [first + second, b"\0\0\1\xb6\x50\xcf"] if second else [first]
        for number, data in enumerate(packed):
            packet: Packet[Stream] = Packet(data)
            packet.pts = packet.dts = number
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 25), copy, number == 0
            write.mux(packet)
    with FileSource(path) as source:
        frames = [(frame.pts, float(frame.luma.mean())) for frame in source]
        assert (source.restarted, source.damaged, source.retimed) == (False, 0, 0)
    assert [pts - frames[0][0] for pts, _ in frames] == list(range(24))
    assert [light for _, light in frames] == sorted(light for _, light in frames)


def test_timestamps_that_fail_less_often_are_taken() -> None:
    clock = BestEffortTimestamps(step=1)
    pairs = [(2, 3), (3, 4), (5, 5), (4, 6), (6, 7), (9, 8), (8, 9), (10, 10)]
    assert [clock.of(picture(*pair)) for pair in pairs] == [2, 3, 5, 6, 7, 8, 9, 10]
    sound = BestEffortTimestamps(step=1)
    assert [sound.of(picture(pts, pts - 2)) for pts in range(3, 8)] == [3, 4, 5, 6, 7]
    absent = BestEffortTimestamps(step=1)
    assert [absent.of(picture(None, dts)) for dts in (0, 1, None)] == [0, 1, None]


def test_one_damaged_timestamp_is_replaced_and_a_new_timeline_is_not() -> None:
    clock = BestEffortTimestamps(step=10)
    pairs = [(0, 0), (10, 10), (99_999, 20), (30, 30), (40, 40)]
    assert [clock.of(picture(*pair)) for pair in pairs] == [0, 10, 20, 30, 40]
    jump = BestEffortTimestamps(step=10)
    assert [jump.of(picture(*pair)) for pair in [(0, 0), (10, 10), (99_990, 99_990), (100_000, 100_000)]][2:] == [
        99_990,
        100_000,
    ]


def test_a_damaged_timestamp_does_not_discredit_those_that_follow() -> None:
    """A lost picture moves decoding times by one; FFmpeg would take them from the damaged timestamp on."""
    clock = BestEffortTimestamps(step=10)
    pairs = [(0, 0), (10, 10), (99_999, 20), (30, 30), (40, 50), (60, 60)]
    assert [clock.of(picture(*pair)) for pair in pairs] == [0, 10, 20, 30, 40, 60]


def test_last_pictures_without_a_decoding_time_do_not_fall_back_on_one_that_failed() -> None:
    clock = BestEffortTimestamps(step=1)
    pairs = [(2, 3), (3, 4), (5, 5), (4, 6), (7, 7), (6, None), (8, None)]
    assert [clock.of(picture(*pair)) for pair in pairs][3:] == [6, 7, None, None]
    without = BestEffortTimestamps(step=1)
    assert [without.of(picture(pts, None)) for pts in (1, 3, 2, 4)] == [1, 3, 2, 4]


@pytest.mark.parametrize("ending", ["mkv", "mp4"])
def test_film_copied_from_avi_ends_evenly(tmp_path: Path, ending: str) -> None:
    """A copy of an AVI with B-frames has its wrong presentation times in any container."""
    avi = encode_clip(tmp_path / "a.avi", ClipSpec(count=24, options={"bf": "2", "b_adapt": "0", "preset": "medium"}))
    copied = tmp_path / f"a.{ending}"
    with av.open(str(avi)) as read, av.open(str(copied), "w") as write:
        video = read.streams.video[0]
        copy = write.add_stream_from_template(video, opaque=True)
        for number, packet in enumerate(read.demux(video)):
            if packet.size:
                packet.pts = packet.dts = number
                packet.stream = copy
                write.mux(packet)
    with FileSource(copied) as source:
        times = [frame.time_s for frame in source]
    steps = [round(after - before, 3) for before, after in pairwise(times)]
    assert len(times) == 24
    assert set(steps[8:]) == {0.04}
