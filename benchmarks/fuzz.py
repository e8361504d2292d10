"""Claim: no damage to an input ends in an internal error, a crash, a hang, or an output that does not play.

Damages, by seed: a small video of every container, pictures, presets, relay files, manifests and checkpoints, and HTTP
bodies for the web app. Exits with 1 if any run fails.

    python benchmarks/fuzz.py [--only files] [--seeds 200] [--first 0] [--containers ts flv]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
from support.machine import describe

sys.path.insert(0, str(Path(__file__).parents[1]))  # uses the tests' damages and sources

from tests.fuzz.harness import Outcome, Worker, fuzz_file, fuzz_reader
from tests.fuzz.http_bodies import HttpFuzzer
from tests.fuzz.readers import READERS
from tests.fuzz.sources import CONTAINERS, write_source
from tests.web.conftest import serving

_DEFAULT_SEEDS = {"files": 200, "pictures": 400, "documents": 400, "http": 2000}
"""Seeds of each container, picture format, kind of document; requests."""
_SAMPLE_EVERY = 20


def main() -> None:
    """Run the seeds and write the results; those of other parts are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(_DEFAULT_SEEDS), nargs="+", default=list(_DEFAULT_SEEDS))
    parser.add_argument("--seeds", type=int, help="of each kind; default: 200 of files, 400 of others, 2,000 requests")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--containers", nargs="+", default=list(CONTAINERS), choices=list(CONTAINERS))
    parser.add_argument("--limit-s", type=float, default=60.0)
    parser.add_argument("--keep", type=Path, help="folder for the damaged videos that fail")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results") / "fuzz.json")
    options = parser.parse_args()
    report = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {}
    failed = 0
    for part in options.only:
        seeds = options.seeds or _DEFAULT_SEEDS[part]
        numbers = range(options.first, options.first + seeds)
        results = {kind: run(options, numbers) for kind, run in parts(part, options).items()}
        failed += sum(len(result["failures"]) for result in results.values())
        report[part] = {"machine": describe(), "seeds_each": seeds, "first": options.first, "kinds": results}
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    raise SystemExit(1 if failed else 0)


def parts(part: str, options: argparse.Namespace) -> dict[str, Callable[[argparse.Namespace, range], dict[str, Any]]]:
    """The kinds of a part, and what runs their seeds."""
    if part == "files":
        return {kind: lambda o, n, kind=kind: run_container(kind, o, n) for kind in options.containers}  # type: ignore[misc]
    if part == "http":
        return {"requests": run_http}
    kinds = [name for name, reader in READERS.items() if (reader.read is None) == (part == "pictures")]
    return {kind: lambda o, n, kind=kind: run_reader(kind, o, n) for kind in kinds}  # type: ignore[misc]


def run_container(container: str, options: argparse.Namespace, numbers: range) -> dict[str, Any]:
    """All seeds of one container."""
    with tempfile.TemporaryDirectory() as name, Worker(limit_s=options.limit_s) as worker:
        folder = Path(name)
        source = write_source(folder, container)

        def outcomes(seed: int) -> Iterator[Outcome]:
            for outcome in fuzz_file(worker, source, seed, folder):
                if outcome.failure is not None and options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    (options.keep / f"{seed}.{container}").write_bytes((folder / f"damaged.{container}").read_bytes())
                yield outcome

        return collect(container, outcomes, numbers, lambda: worker.memory_mb)


def run_reader(kind: str, options: argparse.Namespace, numbers: range) -> dict[str, Any]:
    """All seeds of one kind of picture or document."""
    with tempfile.TemporaryDirectory() as name, Worker(limit_s=options.limit_s) as worker:
        intact, damaged = Path(name, "intact"), Path(name, "damaged")
        intact.mkdir()
        damaged.mkdir()
        source = READERS[kind].write(intact)
        return collect(
            kind, lambda seed: fuzz_reader(worker, kind, source, seed, damaged), numbers, lambda: worker.memory_mb
        )


def run_http(options: argparse.Namespace, numbers: range) -> dict[str, Any]:
    """All seeds of HTTP bodies."""
    with tempfile.TemporaryDirectory() as name:
        folder, pictures = Path(name, "server"), Path(name, "pictures")
        folder.mkdir()
        pictures.mkdir()
        with serving(folder) as server, httpx.Client(base_url=server.address, timeout=options.limit_s) as client:
            return collect("http", HttpFuzzer(client, pictures).outcomes, numbers, server.memory_mb)


def collect(
    kind: str, outcomes: Callable[[int], Iterator[Outcome]], numbers: range, memory_mb: Callable[[], float | None]
) -> dict[str, Any]:
    """Results by command and code, the slowest command, memory after a tenth of the seeds and at the end, failures."""
    codes: dict[str, Counter[str]] = {}
    failures: list[Outcome] = []
    memory: list[float] = []
    slowest_s = 0.0
    for done, seed in enumerate(numbers):
        started_s = time.perf_counter()
        for outcome in outcomes(seed):
            slowest_s, started_s = max(slowest_s, time.perf_counter() - started_s), time.perf_counter()
            codes.setdefault(outcome.command, Counter())[str(outcome.code)] += 1
            if outcome.failure is not None:
                failures.append(outcome)
                print(f"{kind} seed {seed} ({', '.join(outcome.damages)}) {outcome.command}: {outcome.failure}")
        if done % _SAMPLE_EVERY == 0 and (used_mb := memory_mb()) is not None:
            memory.append(round(used_mb, 1))
    print(f"{kind}: {len(numbers)} seeds, {len(failures)} failures, slowest {slowest_s:.1f} s", flush=True)
    return {
        "codes": {command: dict(sorted(counts.items())) for command, counts in sorted(codes.items())},
        "slowest_s": round(slowest_s, 2),
        "memory_mb": memory,
        "failures": [asdict(failure) for failure in failures],
    }


if __name__ == "__main__":
    main()
