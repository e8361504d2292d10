"""Claim: a live stream's latency does not grow, and under load quality is reduced before frames are late.

Three loads, 640x360 at 30 frames/s in, 1920x1080 out, every frame pixelated, on the loopback:

- steady: `turbo` for ten minutes. Two latencies are measured: the added one, from a frame's arrival at the reader to
  its sending to the server (the relay's own metric), and that from the camera's encoder to the viewer's decoder, by
  numbers in the picture;
- plain: the same relay with `--none`, for comparison;
- slow: repair slowed down three times (injected), live and from a file.

    python benchmarks/live.py [--minutes 10] [--only slow|plain|steady] [--out benchmarks/results/live.json]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from support.machine import describe
from support.relay_harness import RATE, RelayBench, percentile, relay_bench, slope_per_minute

from deepclarity.models.enhancer import Enhancer
from deepclarity.models.load import load_enhancer
from deepclarity.models.verdict import Plane
from deepclarity.pipelines.demo.scene import paint, pan, pixelate
from deepclarity.pipelines.executor import CpuExecutor
from deepclarity.pipelines.live.governor import Ladder
from deepclarity.pipelines.live.pipeline import Live
from deepclarity.pipelines.live.sinks import LiveJob
from deepclarity.pipelines.live.stats import StatsSnapshot
from deepclarity.pipelines.preset import Preset, load_preset
from deepclarity.pipelines.records import Summary
from deepclarity.pipelines.route import FrameSelection
from deepclarity.pipelines.upscale import Job, upscale
from deepclarity.stream.files.clip import write_clip
from deepclarity.stream.rtsp.address import source_address
from tests.rtsp.relay_command import pause, resources

_LOOK_EVERY_S = 5.0
_SLOWER = 3


def steady(minutes: float, *options: str) -> dict[str, Any]:
    """Run a relay for some minutes: rate, latency and memory over time."""
    with relay_bench("--model", "turbo", *options) as bench:
        assert bench.camera is not None
        bench.viewer.wait_for_frames(60, timeout_s=60)
        pause(3)
        began, first = time.monotonic(), len(bench.viewer.frames)
        before, appearance = bench.command.metrics(), []
        while time.monotonic() - began < minutes * 60:
            pause(_LOOK_EVERY_S)
            now = bench.command.metrics()
            appearance.append({**bench.sample(), "p50_ms": 1000 * now['deepclarity_latency_seconds{quantile="0.5"}'],
                          "p99_ms": 1000 * now['deepclarity_latency_seconds{quantile="0.99"}']})  # fmt: skip
        after, took_s = bench.command.metrics(), time.monotonic() - began
        seen = bench.viewer.frames[first:]
        end_to_end = _end_to_end_ms(bench, first)
    p50, memory = [look["p50_ms"] for look in appearance], [look["megabytes"] for look in appearance]
    at_s = [look["at_s"] for look in appearance]
    lane = 'deepclarity_frames_total{lane="enhance"}'
    late = 'deepclarity_dropped_frames_total{reason="late"}'
    return {
        "minutes": minutes, "fps_out": len(seen) / took_s,
        "repaired": (after[lane] - before[lane]) / max(1, len(seen)),
        "dropped_late": after[late] - before[late], "steps_down": after["deepclarity_tier_steps_down_total"],
        "added_p50_ms": percentile(p50, 0.5), "added_p99_ms": percentile([look["p99_ms"] for look in appearance], 0.5),
        "added_p99_ms_worst_of_10_s": max(look["p99_ms"] for look in appearance),
        "added_share_within_ms": _shares(before, after), "slope_ms_per_minute": slope_per_minute(at_s, p50),
        "end_to_end_p50_ms": percentile(end_to_end, 0.5), "end_to_end_p99_ms": percentile(end_to_end, 0.99),
        "memory_mb": [min(memory), max(memory)], "memory_slope_mb_per_minute": slope_per_minute(at_s, memory),
    }  # fmt: skip


def _end_to_end_ms(bench: RelayBench, first: int) -> list[float]:
    assert bench.camera is not None
    return [
        1000 * bench.camera.latency_s(each.number, each.at)
        for each in bench.viewer.frames[first:]
        if each.number is not None and each.number in bench.camera.sent
    ]


def _shares(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """Share of frames sent within each histogram bound, in milliseconds."""
    name = "deepclarity_frame_age_seconds"
    count = after[f"{name}_count"] - before[f"{name}_count"]
    found = {}
    for bound in ("0.03", "0.05", "0.08", "0.1", "0.15", "0.5"):
        key = f'{name}_bucket{{le="{bound}"}}'
        found[f"{1000 * float(bound):g}"] = round((after[key] - before[key]) / count, 5)
    return found


class Slowed:
    """An enhancer slowed down to three times the frame interval."""

    def __init__(self, inner: Enhancer, seconds: float) -> None:
        self._inner, self._seconds = inner, seconds
        self.name, self.backend, self.scales = inner.name, inner.backend, inner.scales

    def __call__(self, luma: Plane, *, scale: int, max_value: int = 255) -> Plane:
        time.sleep(self._seconds)
        return self._inner(luma, scale=scale, max_value=max_value)

    def close(self) -> None:
        self._inner.close()


def slow(folder: Path, seconds: float = 60.0) -> dict[str, Any]:
    """Three times too slow: a live stream steps down and drops frames; a file takes longer and loses none."""
    clip = folder / "clip.mp4"
    write_clip(clip, (pixelate(f, block_px=4) for f in pan(paint(), count=150, width=640, height=360)), rate=RATE)
    pause_s = _SLOWER / RATE
    preset = replace(load_preset("live"), which=FrameSelection.ALL, method="grid")
    for_ever = Ladder([CpuExecutor(Slowed(load_enhancer("turbo", device="cpu"), pause_s))])
    result = {"stuck": _live(clip, preset, for_ever, folder / "a.mkv", seconds)}
    slowed = Slowed(load_enhancer("srgan", device="cpu"), pause_s)
    ladder = Ladder([CpuExecutor(slowed), CpuExecutor(load_enhancer("turbo", device="cpu"))])
    result["with_a_way_down"] = _live(clip, preset, ladder, folder / "b.mkv", seconds / 2)
    return {**result, "file": _file(clip, folder, pause_s)}


def _live(clip: Path, preset: Preset, ladder: Ladder, out: Path, seconds: float) -> dict[str, Any]:
    began = time.monotonic()
    appearance: list[tuple[float, float, StatsSnapshot]] = []

    def watch(snapshot: StatsSnapshot) -> None:
        appearance.append((time.monotonic() - began, resources(os.getpid())[2], snapshot))

    job = LiveJob(source_address(str(clip)), file=out, loop=True, preset=preset, seconds=seconds)
    with Live(job, ladder=ladder, watch=watch) as live:
        last = live.run()
        tier = ladder.name
    settled = [(at, memory) for at, memory, _ in appearance if at > min(10.0, seconds / 4)]
    memory = [megabytes for _, megabytes in settled]
    return {
        "latency_p99_ms_worst": max(snapshot.latency_p99_ms for _, _, snapshot in appearance),
        "latency_p50_ms": last.latency_p50_ms, "tier": tier,
        "first_step_s": next((at for at, _, each in appearance if each.counts["tier_steps_down"]), None),
        "dropped": last.drops["late"], "frames_in": last.counts["frames_in"], "memory_mb": [min(memory), max(memory)],
        "memory_slope_mb_per_minute": slope_per_minute([at for at, _ in settled], memory),
    }  # fmt: skip


def _file(clip: Path, folder: Path, pause_s: float) -> dict[str, Any]:
    import deepclarity.pipelines.load_executor as module

    real = module.load_enhancer
    module.load_enhancer = lambda name, **options: Slowed(real("turbo", device="cpu"), pause_s)
    try:
        summary: Summary = upscale(Job(clip, folder / "c.mp4", Preset(which=FrameSelection.ALL, speed="ultrafast")))
    finally:
        module.load_enhancer = real
    return {"frames_in": summary.frames_in, "frames_out": summary.frames_out, "dropped": summary.dropped,
            "frames_per_s": summary.frames_per_s}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "live.json")
    parser.add_argument("--only", choices=("slow", "plain", "steady"))
    asked = parser.parse_args()
    results = json.loads(asked.out.read_text()) if asked.only else {}
    if asked.only in (None, "slow"):
        with tempfile.TemporaryDirectory() as folder:
            results["slow"] = slow(Path(folder))
    if asked.only in (None, "plain"):
        results["plain"] = steady(min(1.0, asked.minutes), "--none")
    if asked.only in (None, "steady"):
        results["steady"] = steady(asked.minutes)
    reported = json.dumps({**results, "machine": describe(), "rate": RATE}, indent=1)
    print(reported)
    asked.out.write_text(reported + "\n")


if __name__ == "__main__":
    main()
