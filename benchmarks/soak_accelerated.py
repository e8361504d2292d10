"""Claim: eight hours of a relay leak no memory, threads or descriptors, whatever its camera does.

The camera's time runs fast: 10 frames a second of 160x96 arrive as fast as the relay reads them. 100 times, the
connection is lost and the camera comes back with another size, other timestamps and a clock stepped by an hour.

    python benchmarks/soak_accelerated.py [--hours 8] [--reconnects 100] [--speed 300]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

from support.machine import describe

sys.path.insert(0, str(Path(__file__).parents[1]))  # uses the tests' camera and server

from tests.rtsp.soak import Sample, soak

_WARM_UP_SHARE = 0.1
"""Share of the rounds that is left out of the slope: caches are filled."""


def main() -> None:
    """Run and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=8.0)
    parser.add_argument("--reconnects", type=int, default=100)
    parser.add_argument("--speed", type=float, default=300.0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "soak_accelerated.json")
    options = parser.parse_args()
    samples, started_s = [], time.monotonic()
    with soak(speed=options.speed) as running:
        for number in range(options.reconnects):
            samples.append(running.run_round(options.hours * 3600 / options.reconnects))
            print(number + 1, samples[-1], flush=True)
        reconnects, sessions = running.camera.sessions - 1, running.server.sessions("out")
    counted = samples[round(_WARM_UP_SHARE * len(samples)) :]
    result = {
        "machine": describe(),
        "stream_hours": samples[-1].stream_s / 3600,
        "real_minutes": (time.monotonic() - started_s) / 60,
        "reconnects": reconnects,
        "output_sessions": sessions,
        "main_mb": [counted[0].main_mb, counted[-1].main_mb],
        "all_mb": [counted[0].all_mb, counted[-1].all_mb],
        "main_slope_mb_per_stream_hour": slope(counted, [sample.main_mb for sample in counted]),
        "all_slope_mb_per_stream_hour": slope(counted, [sample.all_mb for sample in counted]),
        "threads": sorted({sample.threads for sample in counted}),
        "descriptors": sorted({sample.descriptors for sample in counted}),
    }
    print(json.dumps(result, indent=1))
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def slope(samples: list[Sample], values: list[float]) -> float:
    """Least-squares slope of `values` per hour of the camera's time."""
    hours = [sample.stream_s / 3600 for sample in samples]
    return statistics.linear_regression(hours, values).slope if len(values) > 1 else 0.0


if __name__ == "__main__":
    main()
