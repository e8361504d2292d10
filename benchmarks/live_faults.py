"""Claim: no fault of a camera, a network or a server disconnects the viewers of a relay.

Injects one fault after another, each at its full length, while a `deepclarity relay` process runs on the loopback.
Records the expected result, the measurements, and whether they meet it. Takes about ten minutes.

    python benchmarks/live_faults.py [--only NAME] [--out benchmarks/results/live_faults.json]
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from support.machine import describe
from support.relay_harness import RATE, RelayBench, relay_bench, timestamps_increase

from tests.rtsp.publisher import Publisher
from tests.rtsp.relay_command import CliProcess, alive, pause, resources
from tests.rtsp.wait import wait_until

_MAX_SLATE_LUMA = 40  # maximum mean luma of a slate; the camera's pictures are far brighter
_OPTIONS = ("--model", "turbo")

Result = dict[str, Any]


def _receive(bench: RelayBench, count: int = 60) -> None:
    """Wait until the viewer has received another `count` frames."""
    bench.viewer.wait_for_frames(count, timeout_s=60)


def _first_slate_s(bench: RelayBench, lost_s: float) -> float:
    """Wait for a slate; returns the seconds from `lost_s` to it."""
    frames = bench.viewer.wait_for(lambda frames: any(f.at > lost_s and f.brightness < _MAX_SLATE_LUMA for f in frames))
    return next(f.at for f in frames if f.at > lost_s and f.brightness < _MAX_SLATE_LUMA) - lost_s


def _first_picture_s(bench: RelayBench, since_s: float, *, timeout_s: float = 40.0) -> float:
    """Wait for a picture that is not a slate; returns the seconds from `since_s` to it."""
    frames = bench.viewer.wait_for(
        lambda frames: any(f.at > since_s and f.brightness > _MAX_SLATE_LUMA for f in frames[-90:]), timeout_s=timeout_s
    )
    return next(f.at for f in frames if f.at > since_s and f.brightness > _MAX_SLATE_LUMA) - since_s


def source_reset() -> Result:
    """The source's TCP connection is reset and refused for 10 s."""
    with relay_bench(*_OPTIONS) as bench:
        _receive(bench)
        bench.server.refuse_connections()
        bench.server.reset_all()
        lost_s = time.monotonic()
        slate_s = _first_slate_s(bench, lost_s)
        pause(max(0.0, lost_s + 10 - time.monotonic()))
        bench.server.accept()
        back_s = _first_picture_s(bench, time.monotonic())
        reconnects = bench.command.metrics()["deepclarity_source_reconnects_total"]
        sessions, increasing = bench.target.sessions("out"), timestamps_increase(bench.viewer.frames)
    ok = 0.8 < slate_s < 1.5 and back_s <= 5 and reconnects == 1 and sessions == 1 and increasing
    return {
        "expected": "same session; slate after 1.0 s; picture within 5 s of the server's return; one reconnect",
        "slate_s": slate_s, "back_s": back_s, "reconnects": reconnects, "sessions": sessions,
        "increasing": increasing, "ok": ok,
    }  # fmt: skip


def never_speaks() -> Result:
    """The source's server accepts connections but never answers."""
    with relay_bench(*_OPTIONS, camera=False, watch=False) as bench:
        bench.server.silent = True
        bench.command.wait_for_output("no answer in 5 s", timeout_s=12)
        failed_s = time.monotonic() - bench.command.started_s
        pause(1.0)
        code, took_s = bench.command.stop(signal.SIGINT)
    return {
        "expected": "open fails after 5 s ± 1 (including start-up); Ctrl-C exits within 1 s",
        "failed_s": failed_s, "ctrl_c_s": took_s, "exit": code,
        "ok": 4 <= failed_s <= 7 and took_s <= 1.0 and code == 130,
    }  # fmt: skip


def frozen_publisher() -> Result:
    """The camera's process is suspended and resumed 20 times."""
    detected_s, before, after = [], (0, 0, 0.0), (0, 0, 0.0)
    with relay_bench(*_OPTIONS) as bench:
        assert bench.camera is not None
        _receive(bench)
        before = resources(bench.command.process.pid)
        for number in range(20):
            bench.camera.freeze()
            frozen_s = time.monotonic()
            wait_until(
                lambda: bench.command.metrics()['deepclarity_state{side="source",state="reconnecting"}'] == 1,
                timeout_s=15,
                what="stall detection",
            )
            detected_s.append(time.monotonic() - frozen_s)
            bench.camera.unfreeze()
            wait_until(
                lambda done=number: bench.command.metrics()["deepclarity_source_reconnects_total"] > done,
                timeout_s=30,
                what="reconnect of the source",
            )
            pause(0.5)
        after = resources(bench.command.process.pid)
        sessions = bench.target.sessions("out")
    return {
        "expected": "each stall is detected within 10 s; no threads or descriptors leak in 20 rounds",
        "seen_s_most": max(detected_s), "threads": [before[0], after[0]], "descriptors": [before[1], after[1]],
        "sessions": sessions,
        "ok": max(detected_s) <= 10 and after[0] <= before[0] and after[1] <= before[1] and sessions == 1,
    }  # fmt: skip


def camera_reboot() -> Result:
    """The camera is away for 30 s; then its timestamps restart at 0."""
    with relay_bench(*_OPTIONS) as bench:
        _receive(bench)
        assert bench.camera is not None
        bench.camera.stop()
        lost = bench.viewer.frames[-1]
        pause(30)
        with Publisher(bench.server.url("cam"), rate=RATE, block_px=4):
            back_s = _first_picture_s(bench, time.monotonic())
            pause(2)
            frames = bench.viewer.frames
        sessions = bench.target.sessions("out")
    first = next(f for f in frames if f.at > lost.at + 2 and f.brightness > _MAX_SLATE_LUMA)
    assert first.pts_s is not None
    assert lost.pts_s is not None
    error_s = (first.pts_s - lost.pts_s) - (first.at - lost.at)
    return {
        "expected": "timestamps increase strictly; the gap is the outage ± 1 frame, by the viewer's clock ± jitter",
        "increasing": timestamps_increase(frames), "gap_error_ms": 1000 * error_s, "back_s": back_s,
        "sessions": sessions, "ok": timestamps_increase(frames) and abs(error_s) <= 2 / RATE and sessions == 1,
    }  # fmt: skip


def odd_times() -> Result:
    """The timestamp of one picture is shifted by -9,800 s, that of another by +37,600 s."""
    with relay_bench(*_OPTIONS) as bench:
        _receive(bench)
        bench.server.shift_timestamps("cam", -9800)
        _receive(bench)
        bench.server.shift_timestamps("cam", 37600)
        _receive(bench)
        frames, sessions = bench.viewer.frames, bench.target.sessions("out")
        retimed = bench.command.metrics()["deepclarity_retimed_frames_total"]
    times = [frame.pts_s for frame in frames if frame.pts_s is not None]
    max_step_s = max(later - earlier for earlier, later in pairwise(times[30:]))
    return {
        "expected": "both are corrected to fit their neighbours; same session",
        "retimed": retimed, "widest_step_ms": 1000 * max_step_s, "sessions": sessions,
        "ok": retimed == 2 and max_step_s < 0.2 and sessions == 1 and timestamps_increase(frames),
    }  # fmt: skip


def other_sizes_and_codec() -> Result:
    """The source changes from 640x360 to 1280x720 and 640x480, then from H.264 to HEVC."""
    with relay_bench(*_OPTIONS) as bench:
        _receive(bench)
        assert bench.camera is not None
        for size in ((1280, 720), (640, 480)):
            bench.camera.resize(size)
            _receive(bench, 90)
        bench.camera.stop()
        with Publisher(bench.server.url("cam"), rate=RATE, codec="libx265", block_px=4):
            back_s = _first_picture_s(bench, time.monotonic())
            _receive(bench, 60)
            frames = bench.viewer.frames
        changes = bench.command.metrics()["deepclarity_source_changes_total"]
        sessions = bench.target.sessions("out")
    sizes = sorted({(frame.width, frame.height) for frame in frames})
    return {
        "expected": "same output session, 1920x1080 throughout",
        "sizes": sizes, "changes": changes, "sessions": sessions, "back_after_codec_s": back_s,
        "ok": sizes == [(1920, 1080)] and sessions == 1 and changes >= 3 and timestamps_increase(frames),
    }  # fmt: skip


def packet_loss(minutes: float = 1.7) -> Result:
    """1 %, 5 % and 25 % of the UDP packets are lost; five minutes in total."""
    by_loss = {}
    with relay_bench(*_OPTIONS, transport="udp") as bench:
        _receive(bench)
        for loss in (0.01, 0.05, 0.25):
            before, count = bench.command.metrics(), len(bench.viewer.frames)
            bench.server.loss = loss
            pause(minutes * 60)
            bench.server.loss = 0.0
            after = bench.command.metrics()
            counts = {
                key: after[f"deepclarity_{key}_total"] - before[f"deepclarity_{key}_total"]
                for key in ("source_lost_packets", "damaged_frames", "source_damaged_packets")
            }
            enhanced = 'deepclarity_frames_total{lane="enhance"}'
            by_loss[f"{loss:.0%}"] = {
                **counts,
                "fps_out": (len(bench.viewer.frames) - count) / (minutes * 60),
                "repaired": after[enhanced] - before[enhanced],
            }
        _receive(bench)
        running, sessions = bench.command.process.poll() is None, bench.target.sessions("out")
    counted = all(result["source_lost_packets"] > 0 and result["damaged_frames"] > 0 for result in by_loss.values())
    return {
        "expected": "no crash; damaged frames are counted and not repaired; at 25 % loss still at least 1 frame/s",
        "by_loss": by_loss, "sessions": sessions,
        "ok": running and counted and sessions == 1 and by_loss["25%"]["fps_out"] >= 1,
    }  # fmt: skip


def server_gone() -> Result:
    """The output's server is away for 60 s; in a second run, it stops reading."""
    with relay_bench(*_OPTIONS) as bench:
        _receive(bench)
        pause(10)
        before = bench.sample()["main_megabytes"]
        bench.target.stop()
        pause(60)
        during, fps_in = bench.sample()["main_megabytes"], bench.command.metrics()['deepclarity_fps{side="in"}']
        held = bench.command.metrics()["deepclarity_held_frames_total"]
        bench.target.start()
        started_s = time.monotonic()
        wait_until(lambda: bench.target.is_publishing("out"), timeout_s=30, what="publishing after the restart")
        back_s = time.monotonic() - started_s
        wait_until(lambda: bench.command.metrics()["deepclarity_frames_written_total"] > 0, timeout_s=10)
    with relay_bench(*_OPTIONS) as bench:
        _receive(bench)
        bench.target.stop_reading("out")
        stopped_s = time.monotonic()
        wait_until(lambda: bench.target.sessions("out") == 2, timeout_s=40, what="a second session")
        reconnected_s = time.monotonic() - stopped_s
    return {
        "expected": "source still drained; publishing within 5 s of the server's return; memory constant ±20 MB",
        "back_s": back_s, "memory_mb": [before, during], "after_stop_reading_s": reconnected_s, "fps_in": fps_in,
        "held": held, "ok": back_s <= 5 and abs(during - before) <= 20 and fps_in > 25,
    }  # fmt: skip


def signals() -> Result:
    """The relay receives SIGTERM, or SIGINT."""
    results: Result = {"expected": "TEARDOWN is sent; exit code 143 / 130 within 5 s; no child process left"}
    ok = True
    for number, expected_code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        with relay_bench(*_OPTIONS) as bench:
            _receive(bench)
            child_pids = bench.command.child_pids()
            code, took_s = bench.command.stop(number)
            left, teardowns = alive(child_pids), bench.target.teardowns("out")
        results[signal.Signals(number).name] = {"exit": code, "took_s": took_s, "left": left, "teardowns": teardowns}
        ok = ok and code == expected_code and took_s <= 5 and not left and teardowns == 1
    return {**results, "ok": ok}


def camera_missing() -> Result:
    """The camera device does not exist; it is retried every two seconds."""
    with CliProcess("live", "--camera", "/dev/video99", "--no-view", "-o", "rtsp://127.0.0.1:9/x") as command:
        command.wait_for_output("/dev/video99", timeout_s=10)
        reported_s = time.monotonic() - command.started_s
        line = command.output.strip().splitlines()[-1]
    expected = "one line naming the device within 2 s (including start-up)"
    return {"expected": expected, "reported_s": reported_s, "line": line, "ok": reported_s <= 2}


FAULTS: dict[str, Callable[[], Result]] = {
    fault.__name__: fault
    for fault in (
        source_reset, never_speaks, frozen_publisher, camera_reboot, odd_times, other_sizes_and_codec, packet_loss,
        server_gone, signals, camera_missing,
    )
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=list(FAULTS))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "live_faults.json")
    args = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # child processes inherit an ignored SIGINT, as after `&`
    results = json.loads(args.out.read_text())["faults"] if args.only and args.out.exists() else {}
    for name in [args.only] if args.only else FAULTS:
        started_s = time.monotonic()
        try:
            result = FAULTS[name]()
        except (AssertionError, subprocess.TimeoutExpired) as error:
            result = {"ok": False, "error": str(error)[:500]}
        results[name] = {"what": FAULTS[name].__doc__, **result, "took_s": round(time.monotonic() - started_s, 1)}
        print(name, json.dumps(results[name]))
        args.out.write_text(json.dumps({"machine": describe(), "faults": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
