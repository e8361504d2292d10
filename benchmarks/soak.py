"""Claim: a relay that loses its source repeatedly for half an hour leaks neither memory nor threads nor descriptors.

The source's connection is reset every 36 s, 50 times in 30 minutes; memory, threads and descriptors of the relay and of
its processes are read after each.

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

_SETTLED = 5
"""Rounds excluded from the slope: caches fill, networks are compiled."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--reconnects", type=int, default=50)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "soak.json")
    asked = parser.parse_args()
    every_s = asked.minutes * 60 / asked.reconnects
    with relay_bench("--model", "turbo") as bench:
        bench.viewer.wait_for_frames(60, timeout_s=60)
        began = time.monotonic()
        for number in range(asked.reconnects):
            bench.server.reset_readers("cam")
            pause(max(0.0, began + (number + 1) * every_s - time.monotonic()))
            sample = bench.sample()
            print(number + 1, {key: round(value, 1) for key, value in sample.items()}, flush=True)
        metrics, sessions, increasing = (
            bench.command.metrics(),
            bench.target.sessions("out"),
            timestamps_increase(bench.viewer.frames),
        )
    samples = bench.samples[_SETTLED:]
    at_s = [sample["at_s"] for sample in samples]
    result = {
        "machine": describe(),
        "minutes": asked.minutes,
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
    asked.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
