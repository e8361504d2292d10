"""Closed captions through live streams: from the session's packets to the encoder's, dropped and repeated frames."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import cast

import av
import pytest
from av.packet import Packet

from deepclarity.pipelines.enhance import Enhanced
from deepclarity.pipelines.live.placeholder import fill_placeholders
from deepclarity.pipelines.route import Routed
from deepclarity.stream.files.reading.side_data import user_data_of
from deepclarity.stream.frame import Frame, Placeholder
from deepclarity.stream.live.encode import LiveEncoder, LiveEncodeSettings
from deepclarity.stream.live.session import Session
from deepclarity.stream.live.state import SourceCounts
from deepclarity.stream.packets import RTP_TIME_BASE
from deepclarity.stream.planes import planes_of
from deepclarity.stream.user_data import sei
from deepclarity.stream.user_data.messages import Messages, caption_messages, caption_triplets
from deepclarity.stream.user_data.sharing import following_user_data
from tests.captioned_clips import triplets
from tests.stream.live.test_session import messages


def captioned_frames(count: int) -> list[Frame]:
    """Frames of a live session whose packets hold captions."""
    opened, *packets = messages(count)
    session, frames = Session(opened, SourceCounts()), []
    for number, packet in enumerate(packets):
        data = sei.insert_messages(packet.data, "h264", caption_messages(triplets(number)))
        assert data is not None
        for decoded in session.decode(replace(packet, data=data)):
            planes = planes_of(decoded.picture)
            frames.append(
                Frame(
                    planes, number, number * 3000, RTP_TIME_BASE, picture=decoded.picture, user_data=decoded.user_data
                )
            )
    return frames


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_captions_go_from_the_sources_packets_into_the_encoders(codec: str) -> None:
    encoder = LiveEncoder(LiveEncodeSettings(codec), size=(64, 64), rate=Fraction(30))
    decoder = av.CodecContext.create(codec, "r")
    found: list[Messages] = []
    for frame in captioned_frames(8):
        for encoded in encoder.encode(frame):
            found += map(user_data_of, decoder.decode(Packet(encoded.data)))
    found += map(user_data_of, decoder.decode(None))
    encoder.close()
    assert found == [caption_messages(triplets(number)) for number in range(8)]


def test_a_repeated_frame_does_not_repeat_its_captions() -> None:
    frame = captioned_frames(1)[0]
    routed = cast("Routed", None)
    held = replace(frame, index=1, placeholder=Placeholder.HELD, user_data=())
    items = [Enhanced(frame, routed), Enhanced(held, routed)]
    assert [item.frame.user_data for item in fill_placeholders(items)] == [frame.user_data, ()]


def test_user_data_of_a_dropped_frame_go_with_the_next() -> None:
    dropped, following = caption_messages(triplets(1) + b"\xfa\x00\x00"), (*caption_messages(triplets(2)), b"\x26")
    merged = following_user_data(dropped, following)
    assert caption_triplets(merged) == triplets(1) + triplets(2)
    assert merged[-1] == b"\x26"
    assert following_user_data((b"\x26",), following) == following
    assert following_user_data(dropped, ()) == caption_messages(triplets(1))
