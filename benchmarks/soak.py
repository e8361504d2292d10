"""Claim: a relay that keeps losing its source for half an hour leaks no memory, threads or descriptors.

The source's connection is reset every 36 s, 50 times in 30 minutes. After each reset, the memory, threads and
descriptors of the relay and the memory of its child processes are measured.

    python benchmarks/soak.py [--minutes 30] [--reconnects 50] [--out benchmarks/results/soak.json]
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from support.machine import describe
from support.relay_harness import relay_bench, slope_per_minute, timestamps_increase

from tests.rtsp.relay_command import pause

_WARM_UP_ROUNDS = 5
"""Rounds excluded from the result, in which caches are filled and networks compiled."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--reconnects", type=int, default=50)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "soak.json")
    args = parser.parse_args()
    interval_s = args.minutes * 60 / args.reconnects
    with relay_bench("--model", "turbo") as bench:
        bench.viewer.wait_for_frames(60, timeout_s=60)
        started_s = time.monotonic()
        for number in range(args.reconnects):
            bench.server.reset_readers("cam")
            pause(max(0.0, started_s + (number + 1) * interval_s - time.monotonic()))
            sample = bench.sample()
            print(number + 1, {key: round(value, 1) for key, value in sample.items()}, flush=True)
        metrics, sessions, increasing = (
            bench.command.metrics(),
            bench.target.sessions("out"),
            timestamps_increase(bench.viewer.frames),
        )
    samples = bench.samples[_WARM_UP_ROUNDS:]
    at_s = [sample["at_s"] for sample in samples]
    result = {
        "machine": describe(),
        "minutes": args.minutes,
        "reconnects": metrics["deepclarity_source_reconnects_total"],
        "output_sessions": sessions,
        "times_rise": increasing,
        "memory_mb": [samples[0]["main_megabytes"], samples[-1]["main_megabytes"]],
        "memory_slope_mb_per_10_min": 10 * slope_per_minute(at_s, [sample["main_megabytes"] for sample in samples]),
        "all_processes_slope_mb_per_10_min": 10 * slope_per_minute(at_s, [sample["megabytes"] for sample in samples]),
        "threads": sorted({sample["threads"] for sample in samples}),
        "descriptors": sorted({sample["descriptors"] for sample in samples}),
    }
    print(json.dumps(result, indent=1))
    args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
