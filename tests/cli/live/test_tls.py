"""`relay` to a server with a certificate that nobody has signed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rtsp.camera.behaviour import Behaviour
from tests.rtsp.camera.camera import Camera
from tests.rtsp.camera.clip import video
from tests.rtsp.relay_command import QUICK, CliProcess
from tests.stream.live.test_cameras import self_signed


@pytest.mark.slow
def test_server_with_a_self_signed_certificate_is_published_to_only_if_accepted(tmp_path: Path) -> None:
    behaviour = Behaviour(tls=self_signed(tmp_path))
    with Camera(video()) as source, Camera(video(), behaviour=behaviour) as server:
        with CliProcess("relay", source.url(), server.url(), *QUICK) as refused:
            refused.wait_for_output("its certificate is not trusted", timeout_s=60)
            assert "--insecure-tls" in refused.output
        assert server.requests == []
        with CliProcess("relay", source.url(), server.url(), *QUICK, "--insecure-tls"):
            server.wait_for_requests("ANNOUNCE", 1, timeout_s=60)
