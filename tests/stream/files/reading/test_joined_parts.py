"""Recordings joined byte by byte get one timeline, with sound in step."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import av
import pytest

from deepclarity.stream.files.reading.joined_parts import JoinedParts
from deepclarity.stream.packets import RTP_TIME_BASE, AnyPacket
from tests.clips import ClipSpec, add_audio, add_video, encode_audio, encode_video
from tests.commands import QUICK, run_upscale
from tests.decoding import frame_times

SECOND = 90_000


def placed(packets: list[tuple[int, float]]) -> list[float]:
    """Decoding times in seconds of (track, time) pairs after they were placed on one timeline."""
    packets_of = [
        SimpleNamespace(stream_index=track, pts=time, dts=time, duration=SECOND // 10, time_base=RTP_TIME_BASE)
        for track, time in ((track, round(time_s * SECOND)) for track, time_s in packets)
    ]
    return [
        round((packet.dts or 0) / SECOND, 3) for packet in JoinedParts().placed(cast("list[AnyPacket]", packets_of))
    ]


def two_tracks(start_s: float, count: int = 20) -> list[tuple[int, float]]:
    return [(track, start_s + number / 10) for number in range(count) for track in (0, 1)]


def test_times_of_one_recording_stay_as_they_are() -> None:
    packets = [*two_tracks(5), (0, 7.3), (0, 7.2), *two_tracks(60)]  # slightly late, and after a gap
    assert placed(packets) == [round(time, 3) for _, time in packets]


def test_second_part_continues_the_first_on_all_tracks() -> None:
    late = [(0, 7.0), (0, 7.1)]  # the first track ends later than the other
    assert placed([*two_tracks(5), *late, *two_tracks(1)])[-40:] == [round(time + 6.2, 3) for _, time in two_tracks(1)]


def test_last_packets_of_a_part_may_come_after_the_join() -> None:
    first, second = two_tracks(5), two_tracks(1)
    found = placed([*first, second[0], (1, 7.0), *second[1:]])
    assert found[40:44] == [7.0, 7.0, 7.0, 7.1]


@pytest.mark.parametrize("wrong", [0.0, 11.0, 90_000.0])
def test_damaged_times_move_nothing_after_them(wrong: float) -> None:
    following = two_tracks(7)
    packets = [*two_tracks(5), (0, wrong), *following, (1, wrong), *two_tracks(9)]
    assert placed(packets) == [round(time, 3) for _, time in packets]


def test_sound_stays_in_step_in_a_joined_transport_stream(tmp_path: Path) -> None:
    """The sound of each part is longer than its pictures by more than a second."""
    part, joined, target = (tmp_path / name for name in ("part.ts", "joined.ts", "o.mkv"))
    spec = ClipSpec(count=25, size=(64, 48))
    with av.open(str(part), "w") as container:
        video, audio = add_video(container, spec), add_audio(container)
        encode_video(container, video, spec)
        encode_audio(container, audio, seconds=2.2)
    joined.write_bytes(part.read_bytes() * 3)
    assert run_upscale(joined, target, *QUICK) == 0
    shown = frame_times(target)
    assert len(shown) == 75
    assert max(after - before for before, after in pairwise(shown)) < 2
    with av.open(str(target)) as container:
        sounds = [packet.pts * packet.time_base for packet in container.demux(audio=0) if packet.size]
    size = len(sounds) // 3
    apart = [sounds[number * size] - shown[number * 25] for number in range(3)]
    assert [abs(each - apart[0]) <= Fraction(3, 1000) for each in apart] == [True] * 3
