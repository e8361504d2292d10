"""Strangers at both ends: Debian's GStreamer RTSP server, and the `ffmpeg` command."""

from __future__ import annotations

import pytest

from tests.rtsp.gstreamer import GstreamerServer, ffmpeg_publisher, ffmpeg_read, missing, missing_ffmpeg
from tests.rtsp.relay_command import QUICK, Running
from tests.rtsp.server.server import RtspServer


@pytest.fixture(autouse=True)
def _strangers_are_here() -> None:
    lacking = missing()
    if lacking is not None:
        pytest.skip(f"INTEROPERABILITY UNTESTED: {lacking}")


def test_gstreamer_s_stream_is_read_and_its_server_takes_ours() -> None:
    with (
        GstreamerServer() as stranger,
        Running("relay", stranger.url("pattern"), stranger.url("record"), *QUICK) as running,
    ):
        stranger.wait_for_recorded(50, timeout_s=30)
        assert "trying again" not in running.said


def test_ffmpeg_publishes_to_and_reads_from_a_relay() -> None:
    assert missing_ffmpeg() is None
    with (
        RtspServer() as server,
        ffmpeg_publisher(server.url("cam")),
        Running("relay", server.url("cam"), server.url("out"), *QUICK),
    ):
        server.wait_for(lambda: server.received_bytes("out") > 0, timeout_s=30)
        assert ffmpeg_read(server.url("out"), seconds=5) > 60
