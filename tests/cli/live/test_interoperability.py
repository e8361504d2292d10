"""Interoperability of `relay` with other implementations: Debian's GStreamer RTSP server and the `ffmpeg` command."""

from __future__ import annotations

import pytest

from tests.rtsp.gstreamer import GstreamerServer, ffmpeg_publisher, ffmpeg_read, missing_ffmpeg, missing_gstreamer
from tests.rtsp.relay_command import QUICK, CliProcess
from tests.rtsp.server.server import RtspServer


@pytest.fixture(autouse=True)
def _skip_without_peers() -> None:
    reason = missing_gstreamer()
    if reason is not None:
        pytest.skip(f"INTEROPERABILITY UNTESTED: {reason}")


def test_relay_reads_from_and_publishes_to_gstreamer() -> None:
    with (
        GstreamerServer() as peer,
        CliProcess("relay", peer.url("pattern"), peer.url("record"), *QUICK) as running,
    ):
        peer.wait_for_recorded(50, timeout_s=30)
        assert "retrying" not in running.output


def test_ffmpeg_publishes_to_and_reads_from_the_relay() -> None:
    assert missing_ffmpeg() is None
    with (
        RtspServer() as server,
        ffmpeg_publisher(server.url("cam")),
        CliProcess("relay", server.url("cam"), server.url("out"), *QUICK),
    ):
        server.wait_for(lambda: server.received_bytes("out") > 0, timeout_s=30)
        assert ffmpeg_read(server.url("out"), seconds=5) > 60
