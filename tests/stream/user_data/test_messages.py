"""User data as messages, as SEI and as OBUs: what is written is read again, here and by FFmpeg's decoders."""

from __future__ import annotations

from pathlib import Path

import pytest
from av.sidedata.sidedata import Type

from deepclarity.stream.user_data import obu, sei
from deepclarity.stream.user_data.hdr10_plus import message_of
from deepclarity.stream.user_data.messages import (
    UserDataKind,
    caption_messages,
    caption_triplets,
    kind_of,
    prefix_of,
)
from deepclarity.stream.user_data.sharing import UserDataShares
from tests.captioned_clips import encode_with_user_data, hdr10_plus, side_data, triplets
from tests.clips import ClipSpec

SLICE = {"h264": b"\x00\x00\x00\x01\x65\x88\x84", "hevc": b"\x00\x00\x01\x26\x09\xaf"}
PARAMETERS = {"h264": b"\x00\x00\x00\x01\x67\x42\x00\x0a", "hevc": b"\x00\x00\x00\x01\x42\x01\x01\x01"}
PADDING = b"\xfa\x00\x00"


def test_captions_are_split_into_messages_of_31_constructs_and_joined_again() -> None:
    payload = triplets(5, 70)
    messages = caption_messages(payload + b"\xfc\x80")
    assert [message[8] & 31 for message in messages] == [31, 31, 8]
    assert caption_triplets((hdr10_plus(1), *messages)) == payload
    assert {kind_of(message) for message in messages} == {UserDataKind.CAPTIONS}


def test_kinds_are_distinguished_by_provider() -> None:
    assert kind_of(hdr10_plus(0)) is UserDataKind.HDR10_PLUS
    assert kind_of(b"\x26\x00\x04\x00\x05\x01") is UserDataKind.HDR_VIVID
    assert kind_of(b"\xb5\x00\x31DTG1\x41\xf8") is UserDataKind.ACTIVE_FORMAT
    assert kind_of(b"\xb5\x00\x31GA94\x04") is None
    assert kind_of(b"") is None


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize(
    "message", [bytes(300), b"\x00\x00\x01\x00\x00\x02\x00\x00\x03\x00\x00", b"\xb5" + b"\xff" * 254]
)
def test_sei_holds_any_bytes_and_stands_between_parameters_and_picture(codec: str, message: bytes) -> None:
    written = sei.insert_messages(PARAMETERS[codec] + SLICE[codec], codec, (message, message))
    assert written is not None
    assert written.startswith(PARAMETERS[codec])
    assert written.endswith(SLICE[codec])
    between = written[len(PARAMETERS[codec]) : -len(SLICE[codec])]
    assert between.count(b"\x00\x00\x01") == 2  # the two start codes: no other is emulated
    assert sei.messages_of_packet(written, codec, 0) == (message, message)


def test_sei_of_hevc_has_the_temporal_identifier_of_its_picture() -> None:
    written = sei.insert_messages(b"\x00\x00\x01\x02\x03\xaf\xaf", "hevc", (b"\xb5\x00",))
    assert written is not None
    assert written[:6] == b"\x00\x00\x00\x01\x4e\x03"


def test_packets_without_a_picture_get_no_messages() -> None:
    assert sei.insert_messages(PARAMETERS["h264"], "h264", (b"\xb5",)) is None
    assert sei.insert_messages(b"", "hevc", (b"\xb5",)) is None
    assert obu.insert_messages(b"\x12\x00", (b"\xb5",)) is None


def test_damaged_packets_give_what_precedes_the_damage() -> None:
    written = sei.insert_messages(SLICE["h264"], "h264", (b"\xb5\x00\x31",))
    assert written is not None
    unit = written[4:].split(b"\x00\x00\x00\x01")[0]
    packet = len(unit).to_bytes(4, "big") + unit + b"\x00\x00\xff\xff\x65"
    assert sei.messages_of_packet(packet, "h264", 4) == (b"\xb5\x00\x31",)
    for end in range(len(written)):
        assert set(sei.messages_of_packet(written[:end], "h264", 0)) <= {b"\xb5\x00\x31"}
        obu.messages_of_packet(written[:end])


@pytest.mark.parametrize("size", [3, 126, 127, 300])
def test_metadata_of_av1_stands_before_the_last_frame(size: int) -> None:
    delimiter, hidden, shown = b"\x12\x00", b"\x32\x02\x00\x00", b"\x32\x02\x10\x00"
    message = b"\xb5" + bytes(size - 2) + b"\x01"
    written = obu.insert_messages(delimiter + hidden + shown, (message,))
    assert written is not None
    assert written.startswith(delimiter + hidden + b"\x2a")
    assert written.endswith(shown)
    assert obu.messages_of_packet(written) == (message,)


def test_captions_of_frames_that_are_left_out_go_with_the_next() -> None:
    """Telecine: four frames of five pictures. Each construct is there once, in order, and no message is overfull."""
    shares, shown, expected = UserDataShares(), [], b""
    for number in range(10):
        own = triplets(number, 18)
        expected += own
        for messages in shares.of(caption_messages(own + PADDING * 2), 0 if number % 5 == 2 else 1):
            assert len(messages) <= 1
            shown.append(caption_triplets(messages))
    assert b"".join(shown).replace(PADDING, b"") == expected


def test_doubled_frames_have_captions_once_and_other_metadata_each() -> None:
    first, second = UserDataShares().of((*caption_messages(triplets(1)), hdr10_plus(1)), 2)
    assert caption_triplets(first) == triplets(1)
    assert first[-1:] == second == (hdr10_plus(1),)


def fields(*pairs: tuple[int, int]) -> bytes:
    """Values and their bits, after the prefix of HDR10+."""
    bits = "".join(f"{value:0{count}b}" for value, count in pairs)
    padded = bits.ljust(-(-len(bits) // 8) * 8, "0")
    return prefix_of(UserDataKind.HDR10_PLUS) + int(padded, 2).to_bytes(len(padded) // 8, "big")


def test_hdr10_plus_is_written_as_ffmpeg_read_it(tmp_path: Path) -> None:
    """With everything that the syntax has: three windows, peaks, percentiles, tone mapping, saturation."""
    ellipse = [(n, 16) for n in (10, 20, 60, 70, 30, 40)] + [(90, 8), (11, 16), (12, 16), (13, 16), (1, 1)]
    peaks = [(1, 1), (2, 5), (3, 5), *((n, 4) for n in (1, 2, 3, 13, 14, 15))]
    light = [(n, 17) for n in (100_000, 99_999, 1, 54_321)]
    share = [(2, 4), (1, 7), (33_333, 17), (99, 7), (77_777, 17), (998, 10)]
    curve = [(1, 1), (4095, 12), (17, 12), (3, 4), (1, 10), (512, 10), (1023, 10), (1, 1), (63, 6)]
    plain = [(0, 1), (0, 1)]
    complete = fields(
        (1, 8), (3, 2), *ellipse, *ellipse, (4000, 27), *peaks, *(light + share) * 3, *peaks, *curve, *plain, *curve
    )  # fmt: skip
    options = {"x265-params": "log-level=none:bframes=0"}
    spec = ClipSpec(count=2, size=(64, 64), codec="libx265", pixel_format="yuv420p10le", options=options)
    clip = encode_with_user_data(tmp_path / "in.mp4", {0: (complete,), 1: (hdr10_plus(1),)}, spec)
    structures = list(side_data(clip, Type.DYNAMIC_HDR_PLUS).values())
    assert [message_of(each) for each in structures] == [complete, hdr10_plus(1)]
    assert message_of(structures[0][:-1]) is None
