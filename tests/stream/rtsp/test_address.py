"""Parsing of source and sink addresses, and their labels without secrets."""

from __future__ import annotations

import pytest

from deepclarity.errors import UsageError
from deepclarity.stream.rtsp.address import camera_address, sink_address, source_address

SECRET = "p@s:/#%w"


@pytest.mark.parametrize(
    "text",
    [
        f"rtsp://admin:{SECRET}@cam-1:8554/main",
        "rtsp://admin:p%40s%3A%2F%23%25w@cam-1:8554/main",
    ],
)
def test_password_is_encoded_in_the_url_and_absent_from_the_label(text: str) -> None:
    address = source_address(text)
    assert address.url == "rtsp://admin:p%40s%3A%2F%23%25w@cam-1:8554/main"
    assert address.label == "rtsp://cam-1:8554/main"
    assert (address.host, address.port) == ("cam-1", 8554)
    assert "p%40s" not in repr(address)


def test_label_hides_secrets_in_the_query() -> None:
    address = source_address("http://cam/live.m3u8?token=abcdef&quality=1")
    assert "abcdef" in address.url
    assert "abcdef" not in address.label + repr(address)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("http://host/live/@chan/x.m3u8", "host"),
        ("rtsp://cam/x?u=a@b", "cam"),
        ("rtsp://cam:554/a@b", "cam"),
    ],
)
def test_at_sign_in_a_path_is_not_taken_for_credentials(text: str, host: str) -> None:
    assert source_address(text).host == host


def test_invalid_port_raises_usage_error() -> None:
    with pytest.raises(UsageError, match="invalid port 99999"):
        source_address("rtsp://u:secret@cam:99999/x")


def test_label_hides_the_rtmp_stream_key() -> None:
    assert source_address("rtmp://host/live/abcdef?x=1").label == "rtmp://host/live/***?x=1"


def test_same_endpoint_ignores_credentials() -> None:
    sink = sink_address("rtsp://u:p@cam/x/")
    assert sink.same_endpoint(source_address("rtsp://cam:554/x"))
    assert not sink.same_endpoint(source_address("rtsp://cam:554/y"))
    assert not sink.same_endpoint(source_address("film.mp4"))


def test_ports_and_ipv6_hosts_are_parsed() -> None:
    assert source_address("rtsp://cam/x").port == 554
    ipv6 = source_address("rtsp://[::1]:9000/x")
    assert (ipv6.host, ipv6.port) == ("::1", 9000)


@pytest.mark.parametrize("text", ["rtmp://host/x", "film.mp4", "udp://239.0.0.1:1234", "rtsp:///nowhere"])
def test_sink_address_must_be_rtsp(text: str) -> None:
    with pytest.raises(UsageError, match="rtsp://HOST"):
        sink_address(text)


def test_unknown_scheme_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"did you mean 'rtsps?'"):
        source_address("rtps://u:secret@cam/x")


def test_error_messages_hide_the_password() -> None:
    with pytest.raises(UsageError) as caught:
        source_address("gopher://u:secret@cam/x")
    assert "secret" not in str(caught.value)


def test_file_path_is_a_finite_source() -> None:
    address = source_address("clips/film.mp4")
    assert address.is_finite
    assert address.options["protocol_whitelist"] == "file,pipe"


def test_camera_address_accepts_number_device_or_lavfi_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    assert camera_address("2").url == "/dev/video2"
    assert camera_address("/dev/v4l/by-id/x", size="640x360", rate="30").options == {
        "video_size": "640x360",
        "framerate": "30",
    }
    generated = camera_address("lavfi:testsrc2,realtime")
    assert (generated.url, generated.muxer, generated.is_camera) == ("testsrc2,realtime", "lavfi", True)
    monkeypatch.setattr("sys.platform", "darwin")
    assert (camera_address("0").url, camera_address("0").muxer) == ("0", "avfoundation")
    monkeypatch.setattr("sys.platform", "win32")
    assert camera_address("Integrated Camera").url == "video=Integrated Camera"
