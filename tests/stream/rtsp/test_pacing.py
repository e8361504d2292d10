"""Pacing keeps the packets' speed and order and loses none."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import pytest
from av.packet import Packet

from deepclarity.stream.packets import AnyPacket
from deepclarity.stream.rtsp.pacing import paced


def packet(seconds: float) -> AnyPacket:
    result: AnyPacket = Packet(b"x")
    result.pts = result.dts = round(seconds * 1000)
    result.time_base = Fraction(1, 1000)
    return result


def times(packets: Iterator[AnyPacket]) -> list[float]:
    return [float((each.dts or 0) * each.time_base) for each in packets]


def test_badly_interleaved_audio_and_video_are_reordered() -> None:
    slept: list[float] = []
    file = [packet(n / 10) for n in range(10)] + [packet(n / 10 + 0.05) for n in range(10)]
    assert times(paced(file, sleep=slept.append)) == sorted(times(iter(file)))
    assert 0 < max(slept) < 1


def test_packets_read_before_a_failure_are_yielded_first() -> None:
    def failing() -> Iterator[AnyPacket]:
        yield from (packet(n / 10) for n in range(8))
        raise OSError("cut off")

    received: list[float] = []
    with pytest.raises(OSError, match="cut off"):
        for each in paced(failing(), sleep=lambda seconds: None):
            received += times(iter([each]))
    assert len(received) == 8


@pytest.mark.parametrize("second_start", [1000.0, 0.0])
def test_new_timeline_starts_without_a_pause(second_start: float) -> None:
    slept: list[float] = []
    joined = [packet(100 + n / 10) for n in range(20)] + [packet(second_start + n / 10) for n in range(20)]
    assert times(paced(joined, sleep=slept.append)) == times(iter(joined))
    assert max(slept) < 3
