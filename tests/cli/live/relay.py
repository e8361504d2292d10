"""Start a relay between two paths of a test server."""

from __future__ import annotations

from tests.rtsp.relay_command import CliProcess
from tests.rtsp.server.server import RtspServer

SECRET = "p@s:/#%w"
"""A password with every character that matters in a URL."""


def relay(server: RtspServer, *options: str, source: str | None = None, target: str | None = None) -> CliProcess:
    """A relay from `cam` to `out`, with metrics on a free port."""
    return CliProcess(
        "relay", source or server.url("cam"), target or server.url("out"), "--metrics", "0", "--timeout", "2", *options
    )
