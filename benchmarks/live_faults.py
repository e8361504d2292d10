"""Claim: no fault of a camera, a network or a server disconnects the viewers of a relay.

Runs every fault at its full length, one after another, against `deepclarity relay` in a process of its own, and records
the expectation, the measurement and whether it held. On the loopback; about ten minutes.

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

_SLATE = 40  # a slate's mean luma is far below that of the camera's pictures
_PLAIN = ("--model", "turbo")

Result = dict[str, Any]


def _settled(bench: RelayBench, count: int = 60) -> None:
    bench.viewer.wait_for_frames(count, timeout_s=60)


def _first_slate_s(bench: RelayBench, lost_s: float) -> float:
    seen = bench.viewer.wait_for(lambda frames: any(f.at > lost_s and f.brightness < _SLATE for f in frames))
    return next(f.at for f in seen if f.at > lost_s and f.brightness < _SLATE) - lost_s


def _first_picture_s(bench: RelayBench, since_s: float, *, timeout_s: float = 40.0) -> float:
    seen = bench.viewer.wait_for(
        lambda frames: any(f.at > since_s and f.brightness > _SLATE for f in frames[-90:]), timeout_s=timeout_s
    )
    return next(f.at for f in seen if f.at > since_s and f.brightness > _SLATE) - since_s


def source_reset() -> Result:
    """The source's TCP connection is reset and refused for 10 s."""
    with relay_bench(*_PLAIN) as bench:
        _settled(bench)
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
        "expected": "same session; slate at 1.0 s; picture within 5 s of the return; reconnects +1",
        "slate_s": slate_s, "back_s": back_s, "reconnects": reconnects, "sessions": sessions,
        "increasing": increasing, "ok": ok,
    }  # fmt: skip


def never_speaks() -> Result:
    """The port accepts connections and never sends anything."""
    with relay_bench(*_PLAIN, camera=False, watch=False) as bench:
        bench.server.silent = True
        bench.command.wait_for_output("no answer in 5 s", timeout_s=12)
        failed_s = time.monotonic() - bench.command.started_s
        pause(1.0)
        code, took_s = bench.command.stop(signal.SIGINT)
    return {
        "expected": "open fails at 5 s ± 1 (from the start, the start-up counted); Ctrl-C within 1 s",
        "failed_s": failed_s, "ctrl_c_s": took_s, "exit": code,
        "ok": 4 <= failed_s <= 7 and took_s <= 1.0 and code == 130,
    }  # fmt: skip


def frozen_publisher() -> Result:
    """The camera's process is stopped, 20 times."""
    seen_after, before, after = [], (0, 0, 0.0), (0, 0, 0.0)
    with relay_bench(*_PLAIN) as bench:
        assert bench.camera is not None
        _settled(bench)
        before = resources(bench.command.process.pid)
        for number in range(20):
            bench.camera.freeze()
            frozen_s = time.monotonic()
            wait_until(
                lambda: bench.command.metrics()['deepclarity_state{side="source",state="reconnecting"}'] == 1,
                timeout_s=15,
                what="the stall to be noticed",
            )
            seen_after.append(time.monotonic() - frozen_s)
            bench.camera.unfreeze()
            wait_until(
                lambda done=number: bench.command.metrics()["deepclarity_source_reconnects_total"] > done,
                timeout_s=30,
                what="the source to be back",
            )
            pause(0.5)
        after = resources(bench.command.process.pid)
        sessions = bench.target.sessions("out")
    return {
        "expected": "each stall seen within 10 s; 20 rounds leave no thread, no descriptor",
        "seen_s_most": max(seen_after), "threads": [before[0], after[0]], "descriptors": [before[1], after[1]],
        "sessions": sessions,
        "ok": max(seen_after) <= 10 and after[0] <= before[0] and after[1] <= before[1] and sessions == 1,
    }  # fmt: skip


def camera_reboot() -> Result:
    """The camera is gone for 30 s, then restarts its timestamps at 0."""
    with relay_bench(*_PLAIN) as bench:
        _settled(bench)
        assert bench.camera is not None
        bench.camera.stop()
        lost = bench.viewer.frames[-1]
        pause(30)
        with Publisher(bench.server.url("cam"), rate=RATE, block_px=4):
            back_s = _first_picture_s(bench, time.monotonic())
            pause(2)
            seen = bench.viewer.frames
        sessions = bench.target.sessions("out")
    first = next(f for f in seen if f.at > lost.at + 2 and f.brightness > _SLATE)
    assert first.pts_s is not None
    assert lost.pts_s is not None
    error_s = (first.pts_s - lost.pts_s) - (first.at - lost.at)
    return {
        "expected": "times increase strictly; the gap is the outage ± 1 frame, by the viewer's clock (± its jitter)",
        "increasing": timestamps_increase(seen), "gap_error_ms": 1000 * error_s, "back_s": back_s, "sessions": sessions,
        "ok": timestamps_increase(seen) and abs(error_s) <= 2 / RATE and sessions == 1,
    }  # fmt: skip


def odd_times() -> Result:
    """One picture stamped -9,800 s, another +37,600 s."""
    with relay_bench(*_PLAIN) as bench:
        _settled(bench)
        bench.server.shift_timestamps("cam", -9800)
        _settled(bench)
        bench.server.shift_timestamps("cam", 37600)
        _settled(bench)
        seen = bench.viewer.frames
        retimed = bench.command.metrics()["deepclarity_retimed_frames_total"]
        sessions = bench.target.sessions("out")
    times = [each.pts_s for each in seen if each.pts_s is not None]
    widest = max(other - one for one, other in pairwise(times[30:]))
    return {
        "expected": "both corrected to their neighbours, nothing closed",
        "retimed": retimed, "widest_step_ms": 1000 * widest, "sessions": sessions,
        "ok": retimed == 2 and widest < 0.2 and sessions == 1 and timestamps_increase(seen),
    }  # fmt: skip


def other_sizes_and_codec() -> Result:
    """640x360, then 1280x720, then 640x480; H.264, then HEVC."""
    with relay_bench(*_PLAIN) as bench:
        _settled(bench)
        assert bench.camera is not None
        for size in ((1280, 720), (640, 480)):
            bench.camera.resize(size)
            _settled(bench, 90)
        bench.camera.stop()
        with Publisher(bench.server.url("cam"), rate=RATE, codec="libx265", block_px=4):
            back_s = _first_picture_s(bench, time.monotonic())
            _settled(bench, 60)
            seen = bench.viewer.frames
        changes = bench.command.metrics()["deepclarity_source_changes_total"]
        sessions = bench.target.sessions("out")
    sizes = sorted({(each.width, each.height) for each in seen})
    return {
        "expected": "same output session, 1920x1080 throughout",
        "sizes": sizes, "changes": changes, "sessions": sessions, "back_after_codec_s": back_s,
        "ok": sizes == [(1920, 1080)] and sessions == 1 and changes >= 3 and timestamps_increase(seen),
    }  # fmt: skip


def packet_loss(minutes: float = 1.7) -> Result:
    """1 %, 5 % and 25 % of the UDP packets are lost, for five minutes in total."""
    shares = {}
    with relay_bench(*_PLAIN, transport="udp") as bench:
        _settled(bench)
        for loss in (0.01, 0.05, 0.25):
            before, count = bench.command.metrics(), len(bench.viewer.frames)
            bench.server.loss = loss
            pause(minutes * 60)
            bench.server.loss = 0.0
            after = bench.command.metrics()
            gone = {
                key: after[f"deepclarity_{key}_total"] - before[f"deepclarity_{key}_total"]
                for key in ("source_lost_packets", "damaged_frames", "source_damaged_packets")
            }
            enhanced = 'deepclarity_frames_total{lane="enhance"}'
            shares[f"{loss:.0%}"] = {
                **gone,
                "fps_out": (len(bench.viewer.frames) - count) / (minutes * 60),
                "repaired": after[enhanced] - before[enhanced],
            }
        _settled(bench)
        running, sessions = bench.command.process.poll() is None, bench.target.sessions("out")
    counted = all(share["source_lost_packets"] > 0 and share["damaged_frames"] > 0 for share in shares.values())
    return {
        "expected": "no crash; damaged frames counted and not repaired; at 25 % at least 1 frame/s is still sent",
        "by_loss": shares, "sessions": sessions,
        "ok": running and counted and sessions == 1 and shares["25%"]["fps_out"] >= 1,
    }  # fmt: skip


def server_gone() -> Result:
    """The output's server goes away for 60 s; then it stops reading."""
    with relay_bench(*_PLAIN) as bench:
        _settled(bench)
        pause(10)
        before = bench.sample()["main_megabytes"]
        bench.target.stop()
        pause(60)
        during, drained = bench.sample()["main_megabytes"], bench.command.metrics()['deepclarity_fps{side="in"}']
        held = bench.command.metrics()["deepclarity_held_frames_total"]
        bench.target.start()
        began = time.monotonic()
        wait_until(lambda: bench.target.is_publishing("out"), timeout_s=30, what="the relay to publish again")
        back_s = time.monotonic() - began
        wait_until(lambda: bench.command.metrics()["deepclarity_frames_written_total"] > 0, timeout_s=10)
    with relay_bench(*_PLAIN) as bench:
        _settled(bench)
        bench.target.stop_reading("out")
        stuck_s = time.monotonic()
        wait_until(lambda: bench.target.sessions("out") == 2, timeout_s=40, what="a second session")
        again_s = time.monotonic() - stuck_s
    return {
        "expected": "source still drained; published again within 5 s of the return; memory flat ±20 MB",
        "back_s": back_s, "memory_mb": [before, during], "after_stop_reading_s": again_s, "fps_in": drained,
        "held": held, "ok": back_s <= 5 and abs(during - before) <= 20 and drained > 25,
    }  # fmt: skip


def signals() -> Result:
    """SIGTERM and SIGINT."""
    reported: Result = {"expected": "TEARDOWN sent, exit 143 / 130 within 5 s, no child left"}
    well = True
    for number, wanted in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        with relay_bench(*_PLAIN) as bench:
            _settled(bench)
            child_pids = bench.command.child_pids()
            code, took_s = bench.command.stop(number)
            left, teardowns = alive(child_pids), bench.target.teardowns("out")
        reported[signal.Signals(number).name] = {"exit": code, "took_s": took_s, "left": left, "teardowns": teardowns}
        well = well and code == wanted and took_s <= 5 and not left and teardowns == 1
    return {**reported, "ok": well}


def camera_missing() -> Result:
    """A missing camera, retried every two seconds."""
    with CliProcess("live", "--camera", "/dev/video99", "--no-view", "-o", "rtsp://127.0.0.1:9/x") as command:
        command.wait_for_output("/dev/video99", timeout_s=10)
        reported_s = time.monotonic() - command.started_s
        line = command.output.strip().splitlines()[-1]
    expected = "one line naming the device within 2 s (start-up counted)"
    return {"expected": expected, "reported_s": reported_s, "line": line,
            "ok": reported_s <= 2}  # fmt: skip


FAULTS: dict[str, Callable[[], Result]] = {
    each.__name__: each
    for each in (
        source_reset, never_speaks, frozen_publisher, camera_reboot, odd_times, other_sizes_and_codec, packet_loss,
        server_gone, signals, camera_missing,
    )
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=list(FAULTS))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "live_faults.json")
    asked = parser.parse_args()
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # if SIGINT is ignored, as after `&`, children ignore it as well
    results = json.loads(asked.out.read_text())["faults"] if asked.only and asked.out.exists() else {}
    for name in [asked.only] if asked.only else FAULTS:
        began = time.monotonic()
        try:
            result = FAULTS[name]()
        except (AssertionError, subprocess.TimeoutExpired) as error:
            result = {"ok": False, "error": str(error)[:500]}
        results[name] = {"what": FAULTS[name].__doc__, **result, "took_s": round(time.monotonic() - began, 1)}
        print(name, json.dumps(results[name]))
        asked.out.write_text(json.dumps({"machine": describe(), "faults": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
