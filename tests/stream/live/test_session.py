"""Effect of packet loss on the following pictures."""

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
    """A reader's messages for a stream with a key frame every ten pictures: `opened`, then packets."""
    held, rng = io.BytesIO(), np.random.default_rng(3)
    with av.open(held, "w", format="nut") as nut:
        stream = nut.add_stream("libx264", rate=30, options={"tune": "zerolatency", "preset": "ultrafast"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.gop_size = GOP
        packets = []
        for number in range(count):
            frame = VideoFrame.from_ndarray(rng.integers(0, 255, (96, 64), np.uint8), format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 30)
            packets += stream.encode(frame)
        kept = [(bytes(packet), packet.pts, packet.is_keyframe) for packet in packets]
        nut.mux_one(packets[0])
    yield Message("opened", {"rate": "30", "raw": False}, held.getvalue())
    for data, pts, key in kept:
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


def intact(hurt: int, *, lost: int = 3) -> list[bool]:
    """Which of thirty pictures are intact if packets are missing before picture `hurt`."""
    opened, *packets = messages(30)
    counts = SourceCounts()
    session = Session(opened, counts)
    packets[hurt].fields["lost"] = lost
    reported = [arrival.intact for packet in packets for arrival in session.decode(packet)]
    assert counts.lost_packets == lost
    assert counts.damaged_frames == reported.count(False)
    return reported


def test_frames_after_a_loss_are_damaged_until_the_next_key_frame() -> None:
    assert [number for number, good in enumerate(intact(13)) if not good] == list(range(13, 20))


@pytest.mark.parametrize("hurt", [9, 10])
def test_damaged_key_frame_does_not_end_the_damage(hurt: int) -> None:
    bad = [number for number, good in enumerate(intact(hurt)) if not good]
    assert bad == list(range(hurt, 20))


def test_undecodable_packet_counts_as_a_loss() -> None:
    opened, *packets = messages(30)
    counts = SourceCounts()
    session = Session(opened, counts)
    packets[12] = Message("packet", packets[12].fields, bytes(40))
    reported = [arrival.intact for packet in packets for arrival in session.decode(packet)]
    assert counts.damaged_packets >= 1
    assert reported[-10:] == [True] * 10
    assert False in reported
