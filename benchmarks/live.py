"""Claim: a live stream's latency does not grow, and under load quality is reduced before frames are late.

Three loads on the loopback, 640x360 at 30 frames/s in, 1920x1080 out, every frame pixelated:

- steady: `turbo` for ten minutes. Measures the added latency, from a frame's arrival at the reader process to its
  sending to the server (the relay's own metric), and the end-to-end latency from the camera's encoder to the viewer's
  decoder (by frame numbers in the picture);
- plain: the same relay with `--none`, for comparison;
- slow: a repair slowed down to three frame intervals (injected), live and from a file.

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

_SAMPLE_INTERVAL_S = 5.0
_SLOWDOWN = 3


def steady(minutes: float, *options: str) -> dict[str, Any]:
    """Run a relay for some minutes; measure frame rate, latency and memory."""
    with relay_bench("--model", "turbo", *options) as bench:
        assert bench.camera is not None
        bench.viewer.wait_for_frames(60, timeout_s=60)
        pause(3)
        started_s, first = time.monotonic(), len(bench.viewer.frames)
        before, samples = bench.command.metrics(), []
        while time.monotonic() - started_s < minutes * 60:
            pause(_SAMPLE_INTERVAL_S)
            now = bench.command.metrics()
            samples.append({**bench.sample(), "p50_ms": 1000 * now['deepclarity_latency_seconds{quantile="0.5"}'],
                          "p99_ms": 1000 * now['deepclarity_latency_seconds{quantile="0.99"}']})  # fmt: skip
        after, elapsed_s = bench.command.metrics(), time.monotonic() - started_s
        received = bench.viewer.frames[first:]
        end_to_end = _end_to_end_ms(bench, first)
    p50, memory = [sample["p50_ms"] for sample in samples], [sample["megabytes"] for sample in samples]
    at_s = [sample["at_s"] for sample in samples]
    repaired = 'deepclarity_frames_total{lane="enhance"}'
    late = 'deepclarity_dropped_frames_total{reason="late"}'
    return {
        "minutes": minutes, "fps_out": len(received) / elapsed_s,
        "repaired": (after[repaired] - before[repaired]) / max(1, len(received)),
        "dropped_late": after[late] - before[late], "steps_down": after["deepclarity_tier_steps_down_total"],
        "added_p50_ms": percentile(p50, 0.5), "added_p99_ms": percentile([sample["p99_ms"] for sample in samples], 0.5),
        "added_p99_ms_worst_of_10_s": max(sample["p99_ms"] for sample in samples),
        "added_share_within_ms": _shares(before, after), "slope_ms_per_minute": slope_per_minute(at_s, p50),
        "end_to_end_p50_ms": percentile(end_to_end, 0.5), "end_to_end_p99_ms": percentile(end_to_end, 0.99),
        "memory_mb": [min(memory), max(memory)], "memory_slope_mb_per_minute": slope_per_minute(at_s, memory),
    }  # fmt: skip


def _end_to_end_ms(bench: RelayBench, first: int) -> list[float]:
    """Latency of every readable frame from index `first` on."""
    assert bench.camera is not None
    return [
        1000 * bench.camera.latency_s(frame.number, frame.at)
        for frame in bench.viewer.frames[first:]
        if frame.number is not None and frame.number in bench.camera.sent
    ]


def _shares(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """Share of the frames sent within each latency bound, by bound in milliseconds."""
    name = "deepclarity_frame_age_seconds"
    count = after[f"{name}_count"] - before[f"{name}_count"]
    shares = {}
    for bound in ("0.03", "0.05", "0.08", "0.1", "0.15", "0.5"):
        key = f'{name}_bucket{{le="{bound}"}}'
        shares[f"{1000 * float(bound):g}"] = round((after[key] - before[key]) / count, 5)
    return shares


class SlowEnhancer:
    """Enhancer that sleeps for `delay_s` before every call."""

    def __init__(self, inner: Enhancer, delay_s: float) -> None:
        self._inner, self._delay_s = inner, delay_s
        self.name, self.backend, self.scales = inner.name, inner.backend, inner.scales

    def __call__(self, luma: Plane, *, scale: int, max_value: int = 255) -> Plane:
        time.sleep(self._delay_s)
        return self._inner(luma, scale=scale, max_value=max_value)

    def close(self) -> None:
        self._inner.close()


def slow(folder: Path, seconds: float = 60.0) -> dict[str, Any]:
    """Repair three times too slow: a live stream steps down a tier or drops frames; a file just takes longer."""
    clip = folder / "clip.mp4"
    frames = pan(paint(), count=150, width=640, height=360)
    write_clip(clip, (pixelate(frame, block_px=4) for frame in frames), rate=RATE)
    delay_s = _SLOWDOWN / RATE
    preset = replace(load_preset("live"), which=FrameSelection.ALL, method="grid")
    one_tier = Ladder([CpuExecutor(SlowEnhancer(load_enhancer("turbo", device="cpu"), delay_s))])
    result = {"stuck": _live(clip, preset, one_tier, folder / "a.mkv", seconds)}
    slow_srgan = SlowEnhancer(load_enhancer("srgan", device="cpu"), delay_s)
    two_tiers = Ladder([CpuExecutor(slow_srgan), CpuExecutor(load_enhancer("turbo", device="cpu"))])
    result["with_a_way_down"] = _live(clip, preset, two_tiers, folder / "b.mkv", seconds / 2)
    return {**result, "file": _file(clip, folder, delay_s)}


def _live(clip: Path, preset: Preset, ladder: Ladder, out: Path, seconds: float) -> dict[str, Any]:
    started_s = time.monotonic()
    samples: list[tuple[float, float, StatsSnapshot]] = []

    def watch(snapshot: StatsSnapshot) -> None:
        samples.append((time.monotonic() - started_s, resources(os.getpid())[2], snapshot))

    job = LiveJob(source_address(str(clip)), file=out, loop=True, preset=preset, seconds=seconds)
    with Live(job, ladder=ladder, watch=watch) as live:
        last = live.run()
        tier = ladder.name
    after_warm_up = [(at_s, megabytes) for at_s, megabytes, _ in samples if at_s > min(10.0, seconds / 4)]
    memory = [megabytes for _, megabytes in after_warm_up]
    return {
        "latency_p99_ms_worst": max(snapshot.latency_p99_ms for _, _, snapshot in samples),
        "latency_p50_ms": last.latency_p50_ms, "tier": tier,
        "first_step_s": next((at_s for at_s, _, snapshot in samples if snapshot.counts["tier_steps_down"]), None),
        "dropped": last.drops["late"], "frames_in": last.counts["frames_in"], "memory_mb": [min(memory), max(memory)],
        "memory_slope_mb_per_minute": slope_per_minute([at_s for at_s, _ in after_warm_up], memory),
    }  # fmt: skip


def _file(clip: Path, folder: Path, delay_s: float) -> dict[str, Any]:
    import deepclarity.pipelines.load_executor as module

    original = module.load_enhancer
    module.load_enhancer = lambda name, **options: SlowEnhancer(original("turbo", device="cpu"), delay_s)
    try:
        summary: Summary = upscale(Job(clip, folder / "c.mp4", Preset(which=FrameSelection.ALL, speed="ultrafast")))
    finally:
        module.load_enhancer = original
    return {"frames_in": summary.frames_in, "frames_out": summary.frames_out, "dropped": summary.dropped,
            "frames_per_s": summary.frames_per_s}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "live.json")
    parser.add_argument("--only", choices=("slow", "plain", "steady"))
    args = parser.parse_args()
    results = json.loads(args.out.read_text()) if args.only and args.out.exists() else {}
    if args.only in (None, "slow"):
        with tempfile.TemporaryDirectory() as folder:
            results["slow"] = slow(Path(folder))
    if args.only in (None, "plain"):
        results["plain"] = steady(min(1.0, args.minutes), "--none")
    if args.only in (None, "steady"):
        results["steady"] = steady(args.minutes)
    report = json.dumps({**results, "machine": describe(), "rate": RATE}, indent=1)
    print(report)
    args.out.write_text(report + "\n")


if __name__ == "__main__":
    main()
