"""Log output of a relay: JSON lines, and no secrets."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.cli.live.relay import SECRET, relay
from tests.rtsp.publisher import Publisher
from tests.rtsp.relay_command import QUICK, fetch
from tests.rtsp.server.server import RtspServer


@pytest.mark.slow
def test_password_appears_in_no_log_process_list_or_metrics_page() -> None:
    with RtspServer(users={"operator": SECRET}) as server, Publisher(server.url("cam", user="operator"), rate=30):
        source, target = (server.url(path).replace("//", f"//operator:{SECRET}@") for path in ("cam", "out"))
        with relay(server, *QUICK, "--debug", "--log-json", source=source, target=target) as running:
            server.wait_for(lambda: server.received_bytes("out") > 0, timeout_s=20)
            command_lines = [Path(f"/proc/{pid}/cmdline").read_text() for pid in running.child_pids()]
            pages = [fetch(running.metrics_url(path))[1] for path in ("/metrics", "/healthz")]
            server.reject_publish = True
            server.reset_all()
            running.wait_for_output("refused", timeout_s=20)
            running.stop(signal.SIGTERM)
            output = running.output
    for secret in (SECRET, "p%40s", "s:/#"):
        assert [text for text in (output, *command_lines, *pages) if secret in text] == []
    assert "operator" not in output


def test_log_json_prints_json_lines(server: RtspServer) -> None:
    with Publisher(server.url("cam"), rate=30), relay(server, *QUICK, "--log-json", "--seconds", "3") as running:
        assert running.process.wait(30) == 0
        lines = [json.loads(line) for line in running.output.splitlines()]
    assert {"time", "level", "logger", "message"} <= set(lines[0])
    assert any("connected" in line["message"] for line in lines)
