"""Decoder session: which pictures are marked as damaged after a packet loss."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from deepclarity.stream.live.session import Session
from deepclarity.stream.live.state import SourceCounts
from deepclarity.stream.rtsp.ipc import Message

GOP = 10


def messages(count: int) -> Iterator[Message]:
    """Messages of a reader process: `opened`, then `count` packets with a key frame every `GOP` pictures."""
    buffer, rng = io.BytesIO(), np.random.default_rng(3)
    with av.open(buffer, "w", format="nut") as nut:
        stream = nut.add_stream("libx264", rate=30, options={"tune": "zerolatency", "preset": "ultrafast"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.gop_size = GOP
        packets = []
        for number in range(count):
            frame = VideoFrame.from_ndarray(rng.integers(0, 255, (96, 64), np.uint8), format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 30)
            packets += stream.encode(frame)
        encoded = [(bytes(packet), packet.pts, packet.is_keyframe) for packet in packets]
        nut.mux_one(packets[0])
    yield Message("opened", {"rate": "30", "raw": False}, buffer.getvalue())
    for data, pts, key in encoded:
        fields = {
            "pts": pts,
            "dts": pts,
            "base": [1, 30],
            "key": key,
            "intact": True,
            "lost": 0,
            "at": 100.0 + pts / 30,
        }
        yield Message("packet", fields, data)


def damaged_pictures(first: int, *, lost: int = 3) -> list[int]:
    """Indices of the damaged pictures among thirty, if `lost` packets are missing before picture `first`."""
    opened, *packets = messages(30)
    counts = SourceCounts()
    session = Session(opened, counts)
    packets[first].fields["lost"] = lost
    intact = [picture.intact for packet in packets for picture in session.decode(packet)]
    assert counts.lost_packets == lost
    assert counts.damaged_frames == intact.count(False)
    return [number for number, is_intact in enumerate(intact) if not is_intact]


def test_frames_after_a_loss_are_damaged_until_the_next_key_frame() -> None:
    assert damaged_pictures(13) == list(range(13, 20))


@pytest.mark.parametrize("first", [9, 10])
def test_damaged_key_frame_does_not_end_the_damage(first: int) -> None:
    assert damaged_pictures(first) == list(range(first, 20))


def test_undecodable_packet_damages_frames_until_the_next_key_frame() -> None:
    opened, *packets = messages(30)
    counts = SourceCounts()
    session = Session(opened, counts)
    packets[12] = Message("packet", packets[12].fields, bytes(40))
    intact = [picture.intact for packet in packets for picture in session.decode(packet)]
    assert counts.damaged_packets >= 1
    assert intact[-10:] == [True] * 10
    assert False in intact
