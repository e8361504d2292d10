"""Every picture that any threading mode gives, each of them once, and sound files decoded once."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from deepclarity.stream.files.demux import demux_packets, open_input
from deepclarity.stream.files.reading.packets_seen import PacketsSeen
from deepclarity.stream.files.reading.pictures import PictureReader
from deepclarity.stream.files.source import FileSource
from tests.clips import ClipSpec, encode_clip

NOT_CODED = bytes([0, 0, 1, 0xB6, 0x50, 0xCF])
"""An MPEG-4 picture that says nothing but that it repeats the one before, as DivX films have; it gives no frame."""


def by_slice_threads(path: Path) -> list[int | None]:
    """Presentation times of all pictures that slice threads give."""
    times: list[int | None] = []
    with open_input(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "SLICE"
        for packet in [*demux_packets(container, [stream], on_damage=lambda: None), None]:
            try:
                times += [picture.pts for picture in stream.decode(packet)]
            except av.error.FFmpegError:
                continue
    return times


def packet_of(pts: int | None, *, key: bool = False) -> Packet[Stream]:
    packet: Packet[Stream] = Packet(b"x")
    packet.pts, packet.is_keyframe, packet.time_base = pts, key, Fraction(1, 25)
    return packet


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("codec", "ending"), [("libx264", "mkv"), ("libx264", "ts"), ("mpeg2video", "ts")])
def test_damaged_file_gives_the_pictures_of_slice_threads_once_each(
    tmp_path: Path, codec: str, ending: str, seed: int
) -> None:
    """Several key frames are in flight when the damage is met."""
    spec = ClipSpec(count=40, codec=codec, options={"g": "4", "bf": "2", "x264-params": "scenecut=0"})
    content = bytearray(encode_clip(tmp_path / f"intact.{ending}", spec).read_bytes())
    start = random.Random(seed).randrange(len(content) // 3, len(content) - 2000)
    del content[start : start + 1504]
    (path := tmp_path / f"damaged.{ending}").write_bytes(content)
    with FileSource(path) as source:
        times = [frame.pts for frame in source]
    expected = by_slice_threads(path)
    assert len(times) == len(expected) > 30
    assert sorted(set(times)) == times
    if ending == "mkv":  # cut transport streams have some times that do not increase
        assert times == expected


@pytest.mark.parametrize(("codec", "ending"), [("libx264", "ts"), ("mpeg2video", "mpg"), ("libx264", "flv")])
def test_file_without_its_middle_third_gives_the_pictures_of_slice_threads(
    tmp_path: Path, codec: str, ending: str
) -> None:
    spec = ClipSpec(count=60, codec=codec, options={"g": "12", "bf": "2", "x264-params": "scenecut=0"})
    content = encode_clip(tmp_path / f"intact.{ending}", spec).read_bytes()
    third = len(content) // 3
    (path := tmp_path / f"damaged.{ending}").write_bytes(content[:third] + content[2 * third :])
    with FileSource(path) as source:
        times = [frame.pts for frame in source]
    assert len(times) == len(by_slice_threads(path)) > 20
    assert sorted(set(times)) == times


def test_key_frame_right_after_another_hides_no_picture_in_flight(tmp_path: Path) -> None:
    """All of a group of pictures but its key frame is cut out, and the next key frame is damaged."""
    path = encode_clip(tmp_path / "a.mkv", ClipSpec(count=36, options={"g": "12", "bf": "3", "preset": "medium"}))
    content = path.read_bytes()
    with open_input(path) as container:
        packets = demux_packets(container, list(container.streams), on_damage=lambda: None)
        keys = [bytes(packet) for packet in packets if packet.is_keyframe]
    start, end = content.find(keys[1]) + len(keys[1]), content.find(keys[2])
    path.write_bytes(content[:start] + content[end - 300 : end + 8] + bytes(200) + content[end + 208 :])
    with FileSource(path) as source:
        assert [frame.pts for frame in source] == by_slice_threads(path)
        assert source.restarted


def test_packet_without_a_picture_does_not_end_frame_threads(tmp_path: Path) -> None:
    intact = encode_clip(tmp_path / "intact.mkv", ClipSpec(count=30, codec="mpeg4", options={"bf": "0"}))
    with av.open(str(intact)) as read, av.open(str(tmp_path / "a.mkv"), "w") as write:
        video = read.streams.video[0]
        copy = write.add_stream_from_template(video, opaque=True)
        for packet in read.demux(video):
            if packet.size:
                time = packet.pts or 0
                packet.stream = copy
                write.mux(packet)
                if time in (120, 240):
                    extra: Packet[Stream] = Packet(NOT_CODED)
                    extra.pts = extra.dts = time + 20
                    extra.time_base, extra.stream = Fraction(1, 1000), copy
                    write.mux(extra)
    opened = []

    def reopen() -> av.container.InputContainer:
        opened.append(open_input(tmp_path / "a.mkv"))
        return opened[-1]

    with open_input(tmp_path / "a.mkv") as container:
        stream = container.streams.video[0]
        assert isinstance(stream, VideoStream)
        reader = PictureReader(container, stream, reopen, options={}, on_damage=pytest.fail, on_restart=pytest.fail)
        assert sum(1 for _ in reader.pictures()) == 30
        assert reader.packets == 32
    assert not reader.restarted
    assert len(opened) <= 3  # a look at each of them, and at the end


def test_pictures_are_distinguished_without_timestamps() -> None:
    seen = PacketsSeen()
    packets = [packet_of(None, key=True), packet_of(None), packet_of(7)]
    for packet in packets:
        seen.mark(packet)
    assert [packet.pts for packet in packets] == [0, 1, 2]
    seen.deliver(0)
    seen.deliver(2)
    assert seen.missing == {1: None}


def test_gap_is_seen_before_the_next_picture() -> None:
    seen = PacketsSeen()
    for time in (0, 40, 20, 60):
        seen.mark(packet_of(time))
    picture = av.VideoFrame(16, 16, "gray")
    for number, gap in ((0, False), (2, False), (3, True)):  # the one at 40 is missing
        picture.pts = number
        assert seen.identify(picture) == number
        assert seen.has_gap_before(picture) is gap
        seen.deliver(number)


def test_picture_that_comes_after_its_turn_is_still_expected() -> None:
    seen = PacketsSeen()
    for time in (0, 20, 40):
        seen.mark(packet_of(time))
    picture = av.VideoFrame(16, 16, "gray")
    picture.pts = 2
    seen.deliver(seen.identify(picture))
    seen.accept_gap_before(picture)
    assert not seen.has_gap_before(picture)
    assert seen.missing == {0: 0, 1: 20}


def test_memory_stays_bounded_where_nothing_is_delivered_in_order() -> None:
    seen = PacketsSeen()
    for number in range(5000):
        seen.mark(packet_of(number))
        if number % 2:
            seen.deliver(number)
    assert max(len(seen.missing), len(seen._expected), len(seen._times)) <= 2049


def test_decoding_can_begin_one_key_frame_before_the_last_delivered_one() -> None:
    seen = PacketsSeen()
    for number in range(40):
        seen.mark(packet_of(number, key=number % 10 == 0))
    assert seen.entry_point() == 0
    for number in range(21):
        seen.deliver(number)
    assert seen.entry_point() == 10
