"""Relay files: several streams under one supervisor, and validation of the file."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from deepclarity.cli.app import run
from tests.cli.live.relay import SECRET
from tests.rtsp.publisher import Publisher
from tests.rtsp.relay_command import CliProcess, alive, descendants, fetch
from tests.rtsp.server.server import RtspServer


def write_relay_file(folder: Path, server: RtspServer) -> Path:
    path = folder / "relays.toml"
    path.write_text(
        f'size = "640x360"\nwhich = "none"\n'
        f'[relay.front]\nin = "{server.url("cam")}"\nout = "{server.url("one")}"\n'
        f'[relay.back]\nin = "{server.url("cam").replace("//", "//ann:${CAMERA_PASSWORD}@")}"\n'
        f'out = "{server.url("two")}"\n'
    )
    return path


@pytest.mark.slow
def test_supervisor_restarts_each_relay_on_its_own(server: RtspServer, tmp_path: Path) -> None:
    path = write_relay_file(tmp_path, server)
    environment = {"CAMERA_PASSWORD": SECRET}
    with (
        Publisher(server.url("cam"), rate=15),
        CliProcess("relay", "--file", str(path), "--metrics", "0", environment=environment) as running,
    ):
        server.wait_for(lambda: server.received_bytes("one") and server.received_bytes("two"), timeout_s=30)
        workers = [pid for pid in running.child_pids() if descendants(pid)]
        assert len(workers) == 2
        cmdlines = [Path(f"/proc/{pid}/cmdline").read_text() for pid in running.child_pids()]
        assert [line for line in cmdlines if SECRET in line] == []
        os.kill(workers[0], signal.SIGKILL)
        running.wait_for_output("its process died")
        server.wait_for(lambda: server.sessions("one") + server.sessions("two") == 3, timeout_s=30)
        page = fetch(running.metrics_url("/metrics"))[1]
        processes = running.child_pids()
        code, _ = running.stop(signal.SIGTERM, timeout_s=8)
        assert code == 143
        assert alive(processes) == []
        assert SECRET not in running.output + page
    assert sorted((server.sessions("one"), server.sessions("two"))) == [1, 2]
    restarts = [line for line in page.splitlines() if line.startswith("deepclarity_restarts_total")]
    assert sum(float(line.rpartition(" ")[2]) for line in restarts) == 1


def test_file_relay_exits_with_0_at_end_of_file(
    server: RtspServer, tmp_path: Path, make_clip: Callable[..., Path]
) -> None:
    clip = make_clip(count=150, size=(160, 90))  # 6 s: on a busy machine the server is not connected within 1 s
    path = tmp_path / "relays.toml"
    path.write_text(f'size = "320x180"\nwhich = "none"\n[relay.film]\nin = "{clip}"\nout = "{server.url("one")}"\n')
    with CliProcess("relay", "--file", str(path)) as running:
        assert running.process.wait(40) == 0
        assert "end of file" in running.output
        assert "died" not in running.output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no relay in it"),
        ("[relay.a]\nin = 'x.mp4'", "no 'out'"),
        ("[relay.a]\nin = 'x.mp4'\nout = 'rtsp://h/x'\nmodell = 'turbo'", "did you mean 'model'"),
        ("[relay.a]\nin = 'x.mp4'\nout = 'rtsp://h/x'\nloop = 1", "loop must be of type bool"),
        (
            "[relay.a]\nin = '${NOT_THERE_AT_ALL}'\nout = 'rtsp://h/x'",
            "environment variable NOT_THERE_AT_ALL is not set",
        ),
        ("[relay.a]\nin = 'x.mp4'\nout = 'rtsp://h/x'\ntimeout_s = 0", "between 0.5 and 600"),
        ("[relay.a]\nin = 'x.mp4'\nout = 'rtsp://h/x'\ntimeout_s = true", "timeout_s must be of type float"),
        ("[relay.a]\nin = 'rtsp://h/y'\nout = 'rtsp://h/x'\nsize = '641x361'", "even width and height"),
        ("[relay.a]\nin = 'rtsp://h/y'\nout = 'rtsp://h/x'\nmodel = 'nosuch'", "unknown model"),
        ("[relay.a]\nin = 'missing.mp4'\nout = 'rtsp://h/x'", "no such file"),
        ("[relay.a]\nin='rtsp://h/y'\nout='rtsp://h/x'\n[relay.b]\nin='rtsp://h/z'\nout='rtsp://h/x'", "same place"),
        ("[relay", "not valid TOML"),
    ],
)
def test_invalid_relay_file_is_refused(
    tmp_path: Path, text: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "relays.toml"
    path.write_text(text)
    assert run(["relay", "--file", str(path)]) == 2
    assert message in capfd.readouterr().err
