"""`deepclarity relay` as it is run: whatever happens to its source or server, its viewers stay."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from deepclarity.cli.app import run
from tests.rtsp.publisher import Publisher
from tests.rtsp.relay_command import QUICK, Running, alive, descendants, fetched, settle
from tests.rtsp.server.server import RtspServer
from tests.rtsp.viewer import Seen, Viewer
from tests.rtsp.wait import until

SECRET = "p@s:/#%w"
_SLATE = 40
"""A slate is darker than the publisher's pictures."""


@pytest.fixture
def server() -> Iterator[RtspServer]:
    with RtspServer() as running:
        yield running


def relay(server: RtspServer, *options: str, source: str | None = None, target: str | None = None) -> Running:
    """A relay from `cam` to `out`, with metrics on a free port."""
    return Running(
        "relay", source or server.url("cam"), target or server.url("out"), "--metrics", "0", "--timeout", "2", *options
    )


def rises(seen: list[Seen]) -> bool:
    return all(one.pts_s < other.pts_s for one, other in pairwise(seen))  # type: ignore[operator]


def test_pixelated_pictures_arrive_repaired_in_full_hd_and_in_order(server: RtspServer) -> None:
    with (
        Publisher(server.url("cam"), block_px=4, rate=30),
        relay(server, "--latency", "10000") as running,
        Viewer(server.url("out"), patience_s=15) as viewer,
    ):
        seen = viewer.wait_for_frames(60, timeout_s=30)
        metrics = running.metrics()
        assert fetched(running.metrics_address("/healthz"))[0] == 200
    assert {(each.width, each.height) for each in seen} == {(1920, 1080)}
    numbers = [each.number for each in seen if each.number is not None]
    assert len(numbers) > 40
    assert numbers == sorted(numbers)
    assert metrics['deepclarity_frames_total{lane="enhance"}'] > 40
    assert metrics['deepclarity_tier{tier="turbo"}'] == 1
    assert metrics["deepclarity_frame_age_seconds_count"] > 40


def shown_since(viewer: Viewer, number: int) -> None:
    """Wait until the viewer has been shown a picture that was sent after `number`."""
    viewer.wait_for(lambda seen: any(each.number is not None and each.number > number for each in seen[-60:]))


def test_the_session_survives_its_source_and_says_why_nothing_comes(server: RtspServer) -> None:
    with Publisher(server.url("cam"), rate=30) as camera, relay(server, *QUICK) as running:
        with Viewer(server.url("out"), patience_s=15) as viewer:
            viewer.wait_for_frames(20)
            camera.freeze()
            server.reset_readers("cam")
            server.not_found = True
            viewer.wait_for(lambda seen: seen[-1].brightness < _SLATE)
            assert fetched(running.metrics_address("/healthz"))[0] == 503
            slates_from = len(viewer.frames)
            server.not_found = False
            camera.thaw()
            back_s = time.monotonic()
            seen = viewer.wait_for(lambda seen: len(seen) > slates_from and seen[-1].brightness > _SLATE)
            assert seen[-1].at - back_s < 6
            assert not viewer.ended
        metrics = running.metrics()
    assert rises(seen)
    assert server.sessions("out") == 1
    assert metrics["deepclarity_source_reconnects_total"] == 1
    assert metrics["deepclarity_slate_frames_total"] > 0


def test_another_size_and_codec_leave_the_session_as_it_is(server: RtspServer) -> None:
    with relay(server, "--none") as running, Viewer(server.url("out"), patience_s=20) as viewer:
        with Publisher(server.url("cam"), size=(640, 360), rate=30) as camera:
            viewer.wait_for_frames(20, timeout_s=25)
            for size in ((1280, 720), (640, 480)):
                newest = max(camera.sent)
                camera.resize(size)
                shown_since(viewer, newest)
                count = len(viewer.frames)
                viewer.wait_for_frames(count + 40)
        with Publisher(server.url("cam"), size=(640, 360), rate=30, codec="libx265"):
            viewer.wait_for(lambda seen: running.metrics()["deepclarity_source_changes_total"] >= 3)
            count = len(viewer.frames)
            seen = viewer.wait_for(lambda seen: sum(each.number is not None for each in seen[count:]) > 20)
        metrics = running.metrics()
    assert {(each.width, each.height) for each in seen} == {(1920, 1080)}
    assert rises(seen)
    assert server.sessions("out") == 1
    assert metrics["deepclarity_source_changes_total"] >= 3


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_it_in_good_order(server: RtspServer, number: int, code: int) -> None:
    with Publisher(server.url("cam"), rate=30), relay(server, *QUICK) as running:
        server.wait_for(lambda: server.received_bytes("out") > 0, timeout_s=20)
        family = running.family()
        assert len(family) == 2  # who reads and who publishes
        assert running.end(number) == (code, pytest.approx(2.5, abs=2.5))
        assert alive(family) == []
    assert server.teardowns("out") == 1


def test_a_signal_to_all_its_processes_at_once_ends_it_in_good_order(server: RtspServer) -> None:
    with Publisher(server.url("cam"), rate=30), relay(server, *QUICK) as running:
        server.wait_for(lambda: server.received_bytes("out") > 0, timeout_s=20)
        for pid in running.family():
            os.kill(pid, signal.SIGTERM)  # as systemd does
        assert running.end(signal.SIGTERM)[0] == 143
    assert server.teardowns("out") == 1


def test_ctrl_c_is_heard_while_it_waits_for_a_port_that_never_speaks(server: RtspServer) -> None:
    server.silent = True
    with relay(server, *QUICK) as running:
        running.wait_until_said("metrics at")
        settle(0.5)
        code, took_s = running.end(signal.SIGINT)
    assert code == 130
    assert took_s < 1.5


def test_a_closed_terminal_ends_it_in_good_order_too(server: RtspServer) -> None:
    with Publisher(server.url("cam"), rate=30), relay(server, *QUICK) as running:
        server.wait_for(lambda: server.received_bytes("out") > 0, timeout_s=20)
        assert running.end(signal.SIGHUP)[0] == 129
    assert server.teardowns("out") == 1


def test_a_stderr_that_nobody_reads_or_that_is_full_holds_nobody_up(server: RtspServer) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(4096))
    os.set_blocking(writing, True)
    for stderr in (writing, os.open("/dev/full", os.O_WRONLY)):
        words = (server.url("cam"), server.url("out"), *QUICK)
        with Publisher(server.url("cam"), rate=30):
            process = subprocess.Popen([sys.executable, "-m", "deepclarity", "relay", *words], stderr=stderr)
            before = server.sessions("out")
            server.wait_for(lambda before=before: server.sessions("out") > before, timeout_s=20)
            server.reset_all()
            server.wait_for(lambda before=before: server.sessions("out") > before + 1, timeout_s=20)
            process.send_signal(signal.SIGTERM)
            assert process.wait(5) == 143
        os.close(stderr)
    os.close(reading)


def test_even_a_killed_relay_leaves_no_process_behind(server: RtspServer) -> None:
    with Publisher(server.url("cam"), rate=30), relay(server, *QUICK) as running:
        server.wait_for(lambda: server.received_bytes("out") > 0, timeout_s=20)
        family = running.family()
        running.process.kill()
        until(lambda: not alive(family), timeout_s=8, what="its processes to go")


def test_the_password_is_nowhere_to_be_found() -> None:
    with RtspServer(users={"watchman": SECRET}) as server, Publisher(server.url("cam", user="watchman"), rate=30):
        source, target = (server.url(path).replace("//", f"//watchman:{SECRET}@") for path in ("cam", "out"))
        with relay(server, *QUICK, "--debug", "--log-json", source=source, target=target) as running:
            server.wait_for(lambda: server.received_bytes("out") > 0, timeout_s=20)
            children = [Path(f"/proc/{pid}/cmdline").read_text() for pid in running.family()]
            pages = [fetched(running.metrics_address(path))[1] for path in ("/metrics", "/healthz")]
            server.reject_publish = True
            server.reset_all()
            running.wait_until_said("refused", timeout_s=20)
            running.end(signal.SIGTERM)
            said = running.said
    for secret in (SECRET, "p%40s", "s:/#"):
        assert [text for text in (said, *children, *pages) if secret in text] == []
    assert "watchman" not in said


def test_logs_are_json_lines_where_that_is_asked_for(server: RtspServer) -> None:
    with Publisher(server.url("cam"), rate=30), relay(server, *QUICK, "--log-json", "--seconds", "3") as running:
        assert running.process.wait(30) == 0
        lines = [json.loads(line) for line in running.said.splitlines()]
    assert {"time", "level", "logger", "message"} <= set(lines[0])
    assert any("connected" in line["message"] for line in lines)


def test_sound_is_sent_along(server: RtspServer) -> None:
    with (
        Publisher(server.url("cam"), rate=30, tone=True),
        relay(server, *QUICK),
        Viewer(server.url("out"), patience_s=15) as viewer,
    ):
        viewer.wait_for_frames(20)
        assert viewer.sound == "aac"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("relay",), "name IN and OUT"),
        (("relay", "rtsp://u:secret@cam/x", "film.mp4"), "cannot publish there"),
        (("relay", "gopher://u:secret@cam/x", "rtsp://h/x"), "cannot read 'gopher'"),
        (("relay", "missing.mp4", "rtsp://127.0.0.1:1/x"), "no such file"),
        (("relay", "--file", "missing.toml"), "cannot be read"),
        (("live", "--no-view"), "nowhere to show it"),
        (("live", "--no-view", "-o", "a.mp4", "--camera", "rtsp://u:secret@cam/x"), "an address, not a camera"),
        (("live", "--no-view", "-o", "a.mp4", "--camera", ""), "no camera"),
        (("live", "--no-view", "-o", "a.mp4", "--seconds", "nan"), "not 'nan'"),
        (("relay", "rtsp://u:secret@h/x", "rtsp://h:554/x"), "the target is the source"),
        (("relay", "rtsp://h/x", "rtsp://h/y", "--name", "a b"), "letters, digits"),
        (("relay", "rtsp://h/x", "rtsp://h/y", "--latency", "rtsp://u:secret@h"), "not a valid integer"),
        (("rtsp://u:my secret@h/x",), "No such command"),
        (("live", "--no-view", "-o", "film.xyz"), "cannot write '.xyz'"),
        (("relay", "rtsp://h/y", "rtsp://h/x", "--codec", "av1"), "cannot be sent live"),
        (("relay", "rtsp://h/y", "rtsp://h/x", "--speed", "banana"), "no such encoder speed"),
        (("relay", "rtsp://h/y", "rtsp://h/x", "--crf", "99"), "takes 0 (best) to 51"),
        (("relay", "a.mp4", "rtsp://h/x", "--latency", "1"), "not in the range"),
        (("relay", "--file", "relays.toml", "--model", "srgan"), "--model belongs into the relay file"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(
    arguments: tuple[str, ...], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(list(arguments)) == 2
    said = capfd.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert "secret" not in said


def relay_file(folder: Path, server: RtspServer) -> Path:
    path = folder / "relays.toml"
    path.write_text(
        f'size = "640x360"\nwhich = "none"\n'
        f'[relay.front]\nin = "{server.url("cam")}"\nout = "{server.url("one")}"\n'
        f'[relay.back]\nin = "{server.url("cam").replace("//", "//ann:${CAMERA_PASSWORD}@")}"\n'
        f'out = "{server.url("two")}"\n'
    )
    return path


def test_one_supervisor_runs_several_and_begins_each_again_on_its_own(server: RtspServer, tmp_path: Path) -> None:
    path = relay_file(tmp_path, server)
    environment = {"CAMERA_PASSWORD": SECRET}
    with (
        Publisher(server.url("cam"), rate=15),
        Running("relay", "--file", str(path), "--metrics", "0", environment=environment) as running,
    ):
        server.wait_for(lambda: server.received_bytes("one") and server.received_bytes("two"), timeout_s=30)
        workers = [pid for pid in running.family() if descendants(pid)]
        assert len(workers) == 2
        cmdlines = [Path(f"/proc/{pid}/cmdline").read_text() for pid in running.family()]
        assert [line for line in cmdlines if SECRET in line] == []
        os.kill(workers[0], signal.SIGKILL)
        running.wait_until_said("its process died")
        server.wait_for(lambda: server.sessions("one") + server.sessions("two") == 3, timeout_s=30)
        page = fetched(running.metrics_address("/metrics"))[1]
        family = running.family()
        code, _ = running.end(signal.SIGTERM, limit_s=8)
        assert code == 143
        assert alive(family) == []
        assert SECRET not in running.said + page
    assert sorted((server.sessions("one"), server.sessions("two"))) == [1, 2]
    restarts = [line for line in page.splitlines() if line.startswith("deepclarity_restarts_total")]
    assert sum(float(line.rpartition(" ")[2]) for line in restarts) == 1


def test_relays_of_files_end_with_their_files(
    server: RtspServer, tmp_path: Path, make_clip: Callable[..., Path]
) -> None:
    clip, path = make_clip(count=30, size=(160, 90)), tmp_path / "relays.toml"
    path.write_text(f'size = "320x180"\nwhich = "none"\n[relay.film]\nin = "{clip}"\nout = "{server.url("one")}"\n')
    with Running("relay", "--file", str(path)) as running:
        assert running.process.wait(40) == 0
        assert "its file has ended" in running.said
        assert "died" not in running.said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no relay in it"),
        ("[relay.a]\nin = 'x.mp4'", "no 'out'"),
        ("[relay.a]\nin = 'x.mp4'\nout = 'rtsp://h/x'\nmodell = 'turbo'", "did you mean 'model'"),
        ("[relay.a]\nin = 'x.mp4'\nout = 'rtsp://h/x'\nloop = 1", "loop wants bool"),
        ("[relay.a]\nin = '${NOT_THERE_AT_ALL}'\nout = 'rtsp://h/x'", "the environment has no NOT_THERE_AT_ALL"),
        ("[relay.a]\nin = 'x.mp4'\nout = 'rtsp://h/x'\ntimeout_s = 0", "between 0.5 and 600"),
        ("[relay.a]\nin = 'x.mp4'\nout = 'rtsp://h/x'\ntimeout_s = true", "timeout_s wants float"),
        ("[relay.a]\nin = 'rtsp://h/y'\nout = 'rtsp://h/x'\nsize = '641x361'", "even width and height"),
        ("[relay.a]\nin = 'rtsp://h/y'\nout = 'rtsp://h/x'\nmodel = 'nosuch'", "unknown model"),
        ("[relay.a]\nin = 'missing.mp4'\nout = 'rtsp://h/x'", "no such file"),
        ("[relay.a]\nin='rtsp://h/y'\nout='rtsp://h/x'\n[relay.b]\nin='rtsp://h/z'\nout='rtsp://h/x'", "same place"),
        ("[relay", "not valid TOML"),
    ],
)
def test_a_relay_file_is_read_strictly(
    tmp_path: Path, text: str, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "relays.toml"
    path.write_text(text)
    assert run(["relay", "--file", str(path)]) == 2
    assert words in capfd.readouterr().err
