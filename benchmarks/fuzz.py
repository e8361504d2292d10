"""Claim: no damage to a file ends in an internal error, a crash, a hang, or an output that does not play.

Damages a small file of every container by seed, and runs `upscale` and `detect` on each. Exits with 1 if any run fails.

    python benchmarks/fuzz.py [--seeds 200] [--first 0] [--containers ts flv] [--out benchmarks/results/fuzz.json]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from support.machine import describe

sys.path.insert(0, str(Path(__file__).parents[1]))  # uses the tests' damages and sources

from tests.fuzz.harness import Outcome, Worker, fuzz_file
from tests.fuzz.sources import CONTAINERS, write_source


def main() -> None:
    """Run the seeds and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--containers", nargs="+", default=list(CONTAINERS), choices=list(CONTAINERS))
    parser.add_argument("--limit-s", type=float, default=60.0)
    parser.add_argument("--keep", type=Path, help="folder for the damaged files that fail")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results") / "fuzz.json")
    options = parser.parse_args()
    results = {container: run_container(container, options) for container in options.containers}
    failed = sum(len(result["failures"]) for result in results.values())
    report = {"machine": describe(), "seeds": options.seeds, "first": options.first, "containers": results}
    options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    raise SystemExit(1 if failed else 0)


def run_container(container: str, options: argparse.Namespace) -> dict[str, Any]:
    """All seeds of one container: exit codes by command, seconds of the slowest command, failures."""
    codes: dict[str, Counter[str]] = {"upscale": Counter(), "detect": Counter()}
    failures: list[Outcome] = []
    slowest_s = 0.0
    with tempfile.TemporaryDirectory() as name, Worker(limit_s=options.limit_s) as worker:
        folder = Path(name)
        source = write_source(folder, container)
        for seed in range(options.first, options.first + options.seeds):
            started = time.perf_counter()
            for outcome in fuzz_file(worker, source, seed, folder):
                slowest_s, started = max(slowest_s, time.perf_counter() - started), time.perf_counter()
                codes[outcome.command][str(outcome.code)] += 1
                if outcome.failure is not None:
                    failures.append(outcome)
                    print(
                        f"{container} seed {seed} ({', '.join(outcome.damages)}) {outcome.command}: {outcome.failure}"
                    )
                    if options.keep:
                        options.keep.mkdir(parents=True, exist_ok=True)
                        damaged = folder / f"damaged.{container}"
                        (options.keep / f"{seed}.{container}").write_bytes(damaged.read_bytes())
    print(f"{container}: {options.seeds} seeds, {len(failures)} failures, slowest {slowest_s:.1f} s")
    return {"codes": codes, "slowest_s": round(slowest_s, 2), "failures": [asdict(failure) for failure in failures]}


if __name__ == "__main__":
    main()
