"""Fixtures of the tests of live commands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.rtsp.server.server import RtspServer


@pytest.fixture
def server() -> Iterator[RtspServer]:
    """A running RTSP server on the loopback interface."""
    with RtspServer() as running:
        yield running
