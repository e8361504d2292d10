"""A batch of 1,000 small files, 10 of them broken: 990 are done, 10 named, and a second run has nothing to do.

    python benchmarks/batch.py [--files 1000] [--broken 10] [--json results/batch.json]

Times a run with one process, one with two, and the second run over the finished folder, all on the same files.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from deepclarity.pipelines.demo.scene import paint, pan, pixelate
from deepclarity.stream.files.clip import write_clip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--broken", type=int, default=10)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_files(folder / "in", options.files, options.broken)
        results = {
            "files": options.files,
            "broken": options.broken,
            "cores": os.cpu_count(),
            "jobs_1": run_batch(folder, "one", "--jobs", "1"),
            "jobs_2": run_batch(folder, "two", "--jobs", "2"),
        }
        results["same_bytes"] = same_files(folder / "one", folder / "two")
        for path in (folder / "in").rglob("broken*"):
            path.unlink()
        results["second_run"] = run_batch(folder, "one", "--jobs", "1")
    print(json.dumps(results, indent=1))
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def make_files(folder: Path, count: int, broken: int) -> None:
    """Half pictures, half videos of five frames; every third pixelated, `broken` of them of noise."""
    painting = paint(640, 270)
    for number in range(count):
        sub = folder / f"{number // 100:02}"
        sub.mkdir(parents=True, exist_ok=True)
        kind = ".png" if number % 2 else ".mp4"
        if number % (count // broken) == 0:
            (sub / f"broken{number:04}{kind}").write_bytes(np.random.default_rng(number).bytes(2000))
            continue
        frames = pan(painting[number % 80 :], count=5, width=160, height=90)
        pictures = [pixelate(frame, block_px=4) if number % 3 == 0 else frame for frame in frames]
        if kind == ".png":
            cv2.imwrite(str(sub / f"{number:04}.png"), pictures[0][:, :, ::-1])
        else:
            write_clip(sub / f"{number:04}.mp4", pictures, rate=25, crf=20)


def run_batch(folder: Path, name: str, *options: str) -> dict[str, float]:
    """Run the command; its exit code, seconds, and counts."""
    command = [sys.executable, "-m", "deepclarity", "batch", str(folder / "in"), "-o", str(folder / name)]
    started = time.perf_counter()
    ran = subprocess.run(
        [*command, "--size", "320x180", "--json", *options], capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - started
    summary = json.loads(ran.stdout)
    counts = {key: summary[key] for key in ("repaired", "clean", "skipped", "failed")}
    return {"exit_code": ran.returncode, "seconds": round(seconds, 2), **counts, "named": len(ran.stderr.splitlines())}


def same_files(one: Path, other: Path) -> bool:
    """Whether two folders hold the same files with the same bytes, records of batches aside."""
    names = [{p.relative_to(each) for p in each.rglob("[!.]*") if p.is_file()} for each in (one, other)]
    return names[0] == names[1] and all(filecmp.cmp(one / name, other / name, shallow=False) for name in names[0])


if __name__ == "__main__":
    main()
