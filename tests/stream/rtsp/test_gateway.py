"""RTSP gateway: password checks, the order of datagrams, addresses of tracks."""

from __future__ import annotations

import random

import pytest

from deepclarity.stream.rtsp.gateway import messages
from deepclarity.stream.rtsp.gateway.authentication import best_challenge
from deepclarity.stream.rtsp.gateway.description import addresses, parse_description
from deepclarity.stream.rtsp.gateway.messages import Interleaved, Message
from deepclarity.stream.rtsp.gateway.reorder import Reorder

URL = "rtsp://10.0.0.9/main"


def test_digest_equals_the_example_of_rfc_2617() -> None:
    fields = 'realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'
    challenge = best_challenge([f'Digest {fields}, opaque="5c"'])
    assert challenge is not None
    challenge.client_nonce = "0a4f113b"
    signature = challenge.sign("GET", "/dir/index.html", user="Mufasa", password="Circle Of Life")
    assert 'response="6629fae49393a05397450978507c4ef1"' in signature
    assert 'opaque="5c", qop=auth, nc=00000001' in signature


def test_the_best_known_check_is_taken() -> None:
    offered = ['Basic realm="a"', 'Digest realm="b", nonce="1"', 'Digest realm="c", nonce="2", algorithm=SHA-256']
    best = best_challenge([*offered, 'Digest realm="d", nonce="3", algorithm=SHA-9'])
    assert best is not None
    assert best.realm == "c"
    assert best_challenge(['Bearer realm="e"', "Digest", ""][:1]) is None


def packet(number: int) -> bytes:
    return bytes([0x80, 96]) + (number % 65_536).to_bytes(2, "big") + bytes(8) + number.to_bytes(4, "big")


def numbers(packets: list[bytes]) -> list[int]:
    return [int.from_bytes(each[12:16], "big") for each in packets]


def test_repeated_and_reordered_packets_leave_in_order_once_across_the_wrap() -> None:
    rng, reorder, received = random.Random(1), Reorder(), []
    sent = list(range(65_000, 66_200))
    for at in range(1, len(sent) - 1, 7):
        sent[at], sent[at + 1] = sent[at + 1], sent[at]
    for number in sent:
        for _ in range(rng.choice((1, 1, 2))):
            received += numbers(reorder.push(packet(number), now_s=0.0))
    assert received == list(range(65_000, 66_200))
    assert reorder.lost == 0


def test_lost_packets_are_waited_for_a_fifth_of_a_second_and_counted() -> None:
    reorder = Reorder()
    assert numbers(reorder.push(packet(1), now_s=0.0)) == [1]
    assert reorder.push(packet(4), now_s=0.05) == []
    assert reorder.expire(now_s=0.2) == []
    assert numbers(reorder.expire(now_s=0.3)) == [4]
    assert reorder.lost == 2
    assert reorder.push(packet(3), now_s=0.3) == []  # too late
    assert numbers(reorder.push(packet(5), now_s=0.3)) == [5]


def test_losses_one_after_another_do_not_add_up_to_a_delay() -> None:
    reorder, delays = Reorder(), []
    for number in range(0, 3000, 1):
        if number % 4:
            due = numbers(reorder.push(packet(number), now_s=number / 100))
            delays += [(number - each) / 100 for each in due]
    assert max(delays) <= 0.25


def test_sender_that_counts_anew_is_followed() -> None:
    reorder = Reorder()
    reorder.push(packet(100), now_s=0.0)
    assert reorder.push(packet(40_000), now_s=0.0) == []
    assert numbers(reorder.push(packet(40_001), now_s=0.0)) == [40_001]


def test_tracks_but_for_metadata_are_described_anew() -> None:
    sdp = b"v=0\r\na=control:*\r\nm=application 0 RTP/AVP 107\r\na=control:meta\r\n"
    sdp += b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=1\r\n"
    description = parse_description(sdp, base=URL)
    assert [(track.kind, track.control) for track in description.tracks] == [("video", "trackID=1")]
    lines = description.local_sdp().decode().split("\r\n")
    assert lines == ["v=0", "m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000", "a=control:streamid=0", ""]


def test_track_addresses_by_the_cameras_word_come_first() -> None:
    wrong = "rtsp://192.168.7.7/x/"
    assert addresses("trackID=1", base=wrong, url=URL) == [f"{wrong}trackID=1", f"{URL}/trackID=1"]
    assert addresses("*", base=URL, url=URL) == [URL]
    absolute = "rtsp://192.168.7.7:554/main/trackID=1"
    assert addresses(absolute, base=URL, url=URL) == [absolute, "rtsp://10.0.0.9/main/trackID=1"]


def test_messages_come_apart_wherever_the_network_cuts_them() -> None:
    answer = messages.encode("RTSP/1.0 200 OK", [("CSeq", "1")], b"body")
    data, items, inbox = answer + Interleaved(2, b"packet").encode() + answer, [], bytearray()
    for byte in data:
        inbox.append(byte)
        while (item := messages.take(inbox)) is not None:
            items.append(item)
    expected = Message("RTSP/1.0 200 OK", (("cseq", "1"), ("content-length", "4")), b"body")
    assert items == [expected, Interleaved(2, b"packet"), expected]
    with pytest.raises(ValueError, match="not RTSP"):
        messages.take(bytearray(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
