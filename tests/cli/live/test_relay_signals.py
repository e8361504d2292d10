"""Signals, blocked stderr and SIGKILL: how a relay ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from tests.cli.live.relay import relay
from tests.rtsp.publisher import Publisher
from tests.rtsp.relay_command import QUICK, alive, pause
from tests.rtsp.server.server import RtspServer
from tests.rtsp.wait import wait_until


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_stops_the_relay_and_closes_the_session(server: RtspServer, number: int, code: int) -> None:
    with Publisher(server.url("cam"), rate=30), relay(server, *QUICK) as running:
        server.wait_for(lambda: server.received_bytes("out") > 0, timeout_s=20)
        processes = running.child_pids()
        assert len(processes) == 2  # reader process and writer process
        assert running.stop(number) == (code, pytest.approx(2.5, abs=2.5))
        assert alive(processes) == []
    assert server.teardowns("out") == 1


def test_signal_to_all_processes_closes_the_session(server: RtspServer) -> None:
    with Publisher(server.url("cam"), rate=30), relay(server, *QUICK) as running:
        server.wait_for(lambda: server.received_bytes("out") > 0, timeout_s=20)
        for pid in running.child_pids():
            os.kill(pid, signal.SIGTERM)  # as systemd does
        assert running.stop(signal.SIGTERM)[0] == 143
    assert server.teardowns("out") == 1


def test_ctrl_c_stops_a_relay_that_waits_for_a_silent_server(server: RtspServer) -> None:
    server.silent = True
    with relay(server, *QUICK) as running:
        running.wait_for_output("metrics at")
        pause(0.5)
        code, took_s = running.stop(signal.SIGINT)
    assert code == 130
    assert took_s < 1.5


def test_sighup_stops_the_relay_and_closes_the_session(server: RtspServer) -> None:
    with Publisher(server.url("cam"), rate=30), relay(server, *QUICK) as running:
        server.wait_for(lambda: server.received_bytes("out") > 0, timeout_s=20)
        assert running.stop(signal.SIGHUP)[0] == 129
    assert server.teardowns("out") == 1


def test_blocked_or_full_stderr_does_not_block_the_relay(server: RtspServer) -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write_end, bytes(4096))
    os.set_blocking(write_end, True)
    for stderr in (write_end, os.open("/dev/full", os.O_WRONLY)):
        arguments = (server.url("cam"), server.url("out"), *QUICK)
        with Publisher(server.url("cam"), rate=30):
            process = subprocess.Popen([sys.executable, "-m", "deepclarity", "relay", *arguments], stderr=stderr)
            sessions_before = server.sessions("out")
            server.wait_for(lambda before=sessions_before: server.sessions("out") > before, timeout_s=20)
            server.reset_all()
            server.wait_for(lambda before=sessions_before: server.sessions("out") > before + 1, timeout_s=20)
            process.send_signal(signal.SIGTERM)
            assert process.wait(5) == 143
        os.close(stderr)
    os.close(read_end)


def test_killed_relay_leaves_no_processes(server: RtspServer) -> None:
    with Publisher(server.url("cam"), rate=30), relay(server, *QUICK) as running:
        server.wait_for(lambda: server.received_bytes("out") > 0, timeout_s=20)
        processes = running.child_pids()
        running.process.kill()
        wait_until(lambda: not alive(processes), timeout_s=8, what="the processes of the relay to end")
