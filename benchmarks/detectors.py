"""Claim: from a decoded Full HD frame to the verdict, all steps included, `lattice-net` is faster than `blockdetect`.

Every detector alternates with FFmpeg's `blockdetect` filter and, for the cost of pushing and reading frames alone, its
`null` filter; each on one core, then in two processes on one core each. Networks alone, on preprocessed input, are
listed as well: that is what was published (3505 frames/s on an RTX 3060 Mobile).

    python benchmarks/detectors.py [--rounds 30] [--data PHOTOS] [--out benchmarks/results/detectors.json]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from support.detector_paths import ALONE, BLOCKDETECT, Shown, Way, usable, ways
from support.frames import CRF, FACTORS, Shots, full_hd_frames
from support.machine import describe
from table import QUIET

from deepclarity.stream.frame import Planes
from deepclarity.stream.planes import picture_of, planes_of

WARM_UP = 2
ALL = "all"
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Seconds = NDArray[np.float64]
"""Seconds per round and frame, (rounds, frames)."""


@dataclass(frozen=True, slots=True)
class Took:
    """Measurements of one process, by runner."""

    alone: dict[str, Seconds]
    """Empty in the second process."""
    together: dict[str, Seconds]
    core_share: float
    """CPU time divided by wall clock time: the share of its core that the process had."""


def turn(way: Way, frames: list[Shown]) -> list[float]:
    """Seconds per frame; the last frame runs once beforehand, because the first one finds the caches cold."""
    way(frames[-1])
    took = []
    for shown in frames:
        began = time.perf_counter()
        way(shown)
        took.append(time.perf_counter() - began)
    return took


_meet: Barrier
"""Barrier of the processes."""


def meet_at(barrier: Barrier) -> None:
    """Process initialiser: a barrier can be passed only at that point."""
    global _meet  # noqa: PLW0603
    _meet = barrier


def work(place: int, core: int | None, names: list[str], planes: list[Planes], rounds: int) -> Took:
    """Measure in one process: each runner first alone, then in all processes at once."""
    try:
        if core is not None:
            os.sched_setaffinity(0, {core})
        cv2.setNumThreads(1)
        return measure(place, names, planes, rounds)
    except BaseException:
        _meet.abort()  # otherwise the other process would wait forever
        raise


def measure(place: int, names: list[str], planes: list[Planes], rounds: int) -> Took:
    """The body of `work`, after pinning to its core."""
    pictures = [picture_of(each, "yuv420p") for each in planes]
    frames = [Shown(index, picture, planes_of(picture)) for index, picture in enumerate(pictures)]
    entrants = dict(ways(names, frames))
    alone: dict[str, list[list[float]]] = {name: [] for name in entrants}
    together: dict[str, list[list[float]]] = {name: [] for name in entrants}
    wall = busy = 0.0
    for _ in range(rounds + WARM_UP):
        for name, way in entrants.items():
            _meet.wait()
            if place == 0:
                alone[name].append(turn(way, frames))
            _meet.wait()
            began, used = time.perf_counter(), time.process_time()
            together[name].append(turn(way, frames))
            wall, busy = wall + time.perf_counter() - began, busy + time.process_time() - used
    first, second = ({name: np.array(took[WARM_UP:]) for name, took in each.items()} for each in (alone, together))
    return Took(first, second, busy / wall)


def compare(names: list[str], shots: Shots, rounds: int) -> list[Took]:
    """Measurements of each process."""
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    cores, spawn = cores_to_use(), multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(cores), spawn, meet_at, (spawn.Barrier(len(cores)),)) as pool:
        planes = [planes for _, planes in shots]
        jobs = [pool.submit(work, place, core, names, planes, rounds) for place, core in enumerate(cores)]
        errors = [error for job in jobs if (error := job.exception())]
        if errors:  # a broken barrier is only a consequence
            raise min(errors, key=lambda error: "BrokenBarrier" in type(error).__name__)
        return [job.result() for job in jobs]


def cores_to_use() -> list[int | None]:
    """Two cores if available; None for each if processes cannot be pinned."""
    if hasattr(os, "sched_setaffinity"):
        return list(sorted(os.sched_getaffinity(0))[:2])
    return [None] * min(2, os.cpu_count() or 1)


def summary(name: str, took: list[Took], which: NDArray[np.bool_]) -> dict[str, float | None]:
    """Figures of one runner on the frames of `which`."""
    alone, count = took[0].alone[name][:, which], int(which.sum())
    rates = count / alone.sum(axis=1)
    slower = np.max([each.together[name][:, which].sum(axis=1) for each in took], axis=0)
    other = took[0].alone.get(BLOCKDETECT)
    ratios = None if other is None else rates * other[:, which].sum(axis=1) / count
    return {
        "median_ms": round(float(np.median(alone)) * 1000, 3),
        "p99_ms": round(float(np.percentile(alone, 99)) * 1000, 3),
        "frames_per_s_one_core": round(float(np.median(rates)), 1),
        "frames_per_s_two_cores": round(float(np.median(2 * count / slower)), 1) if len(took) == 2 else None,
        "times_blockdetect": None if ratios is None else round(float(np.median(ratios)), 2),
    }


def rows(took: list[Took], kinds: list[str]) -> Iterator[dict[str, object]]:
    """Figures of every runner, by kind of frame and in total."""
    of = np.array(kinds)
    groups = {kind: of == kind for kind in dict.fromkeys(kinds)} | {ALL: np.ones(of.size, np.bool_)}
    titles = (*(f"{kind}, ms" for kind in groups), "1 core, frames/s", "2 cores", "x blockdetect")
    print(f"{'':32}" + "".join(f"{title:>18}" for title in titles))
    for name in took[0].alone:
        found = {kind: summary(name, took, which) for kind, which in groups.items()}
        numbers = [each["median_ms"] for each in found.values()] + list(found[ALL].values())[2:]
        print(f"{name:32}" + "".join(f"{number!s:>18}" for number in numbers))
        yield {"method": name.removesuffix(ALONE), "network_alone": name.endswith(ALONE), "frames": found}


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--data", type=Path, help="a folder of photos, or one with train_photos; default: drawings")
    parser.add_argument("--out", "--json", type=Path, default=Path(__file__).parent / "results" / "detectors.json")
    chosen = parser.parse_args()
    shots = full_hd_frames(chosen.data)
    kinds = [kind for kind, _ in shots]
    took = compare(list(usable()), shots, chosen.rounds)
    share = min(each.core_share for each in took)
    if share < QUIET:
        print(f"machine not quiet: a process had only {share:.0%} of its core. Measure again.")
    result = {
        "claim": "from a decoded 1920x1080 frame, 8-bit 4:2:0, to the verdict, all steps included",
        "machine": describe(),
        "settings": {
            "rounds": chosen.rounds,
            "warm_up_rounds": WARM_UP,
            "pictures": "photos" if chosen.data else "drawings",
            "frames": {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
            "block_px": FACTORS,
            "crf": CRF,
            "pinned": hasattr(os, "sched_setaffinity"),
        },
        "least_share_of_a_core": round(share, 3),
        "ways": list(rows(took, kinds)),
    }
    chosen.out.parent.mkdir(exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
