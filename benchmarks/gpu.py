"""Claim: on a GPU the repair keeps up with the network alone, and the network is far faster than the original's.

Runs the tests marked `gpu`, then measures, each figure a median of several rounds in this one run:

- the networks alone, 480x270 to Full HD luma, best batch
- the stage: Full HD planes in host memory, in blocks of 4, to repaired planes in host memory
- the busy share of the card meanwhile, and the time in which copies overlap with kernels, from a profiler's trace
- the networks of the program this one replaces, by their shapes, as it ran them: eager, float16, one picture at a time
- a file of 480x270 decoded, repaired and dropped at Full HD
- the delay that a repair adds to a live 640x360 stream
- samples against the CPU in float32, and the card's memory under mixed shapes

Prints a short table last.

    python benchmarks/gpu.py [--quick] [--out benchmarks/results/gpu.json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from support.originals import originals
from support.trace import busy

from deepclarity.models.backends.torch import TorchGenerator
from deepclarity.models.gpu.network import BatchedNetwork
from deepclarity.models.load import load_enhancer
from deepclarity.models.verdict import Blocks
from deepclarity.pipelines.demo.scene import paint, pan, pixelate
from deepclarity.pipelines.enhance import enhance
from deepclarity.pipelines.executor import CpuExecutor, Executor, Pending, RepairRequest
from deepclarity.pipelines.fit import Fit
from deepclarity.pipelines.load_executor import executor_for
from deepclarity.pipelines.records import Summary
from deepclarity.pipelines.route import FrameSelection, Routing, route
from deepclarity.stream.files.clip import write_clip
from deepclarity.stream.files.source import FileSource

FULL_HD = 1920, 1080
NATIVE = 480, 270
TIERS = "turbo", "srgan-lite", "srgan"
ROUNDS = 5


def main() -> None:
    """Measure everything, write JSON, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer frames, and no tests")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/gpu.json"))
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("no NVIDIA GPU here: nothing was measured")
    frames = 64 if options.quick else 240
    results: dict[str, Any] = {"machine": _machine()}
    steps: dict[str, Callable[[], Any]] = {
        "tests": lambda: "not run" if options.quick else _tests(),
        "network_frames_per_s": lambda: {tier: _network(tier) for tier in TIERS},
        "originals_frames_per_s": originals,
        "stage_frames_per_s": lambda: {tier: _stage(tier, frames) for tier in TIERS},
        "trace": lambda: {tier: _trace(tier) for tier in ("turbo", "srgan")},
        "file_frames_per_s": lambda: {tier: _file(tier, frames) for tier in ("turbo", "srgan")},
        "live_added_ms": lambda: {tier: _live(tier, 60 if options.quick else 240) for tier in ("turbo", "srgan")},
        "against_cpu": lambda: {tier: _against_cpu(tier) for tier in TIERS},
        "memory": lambda: _memory(10 if options.quick else 60),
    }
    for name, step in steps.items():
        started = time.perf_counter()
        try:
            results[name] = step()
        except Exception as error:  # the other figures are still worth having
            results[name] = {"error": f"{type(error).__name__}: {error}"}
        print(f"{name}: {time.perf_counter() - started:.0f} s {json.dumps(results[name])}", flush=True)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(results, indent=1) + "\n")
    _print_table(results)


def _machine() -> dict[str, object]:
    major, minor = torch.cuda.get_device_capability(0)
    return {
        "gpu": torch.cuda.get_device_name(0),
        "capability": f"{major}.{minor}",
        "memory_gib": round(torch.cuda.get_device_properties(0).total_memory / 2**30),
        "cores": len(os.sched_getaffinity(0)),
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "numpy": np.__version__,
    }


def _tests() -> str:
    """Run the tests marked `gpu`; returns the last line they print."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-o", "addopts=--import-mode=importlib", "-p",
               "no:cacheprovider", "tests/models/gpu", "tests/pipelines/gpu"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    lines = done.stdout.strip().splitlines()
    failures = [line for line in lines if line.startswith(("FAILED", "ERROR", "E  "))]
    for line in failures[:40]:
        print(line)
    return lines[-1] if lines else done.stderr.strip()[-500:]


def _generator(tier: str) -> TorchGenerator:
    enhancer = load_enhancer(tier, device="cuda")
    assert isinstance(enhancer, TorchGenerator)
    return enhancer


@torch.no_grad()
def _network(tier: str) -> dict[str, float]:
    """Frames per second by batch size; graphs, float16, input and output on the card."""
    generator = _generator(tier)
    found = {}
    for batch in (1, 4, 8, 16):
        network = BatchedNetwork(generator, receptive_radius_px=generator.receptive_radius_px)
        luma = torch.randint(0, 256, (batch, NATIVE[1], NATIVE[0]), dtype=torch.uint8, device="cuda")
        with torch.cuda.stream(torch.cuda.Stream()):
            for _ in range(5):
                network(luma, scale=4, max_value=255)
            rates = []
            for _ in range(ROUNDS):
                first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
                first.record()
                for _ in range(20):
                    network(luma, scale=4, max_value=255)
                last.record()
                last.synchronize()
                rates.append(20 * batch / (first.elapsed_time(last) / 1000))
        found[str(batch)] = round(statistics.median(rates), 1)
    return {**found, "best": max(found.values())}


def _requests(count: int) -> list[RepairRequest]:
    """Different Full HD frames in blocks of 4."""
    requests = []
    for picture in pan(paint(2560, 1440), count=count, width=FULL_HD[0], height=FULL_HD[1]):
        luma = np.ascontiguousarray(pixelate(picture, block_px=4)[..., 1])
        chroma = np.ascontiguousarray(luma[::2, ::2])
        requests.append(RepairRequest((luma, chroma, chroma), Blocks(4, 4), FULL_HD))
    return requests


def _run(executor: Executor, requests: list[RepairRequest], count: int) -> float:
    """Seconds to repair `count` frames, as the pipeline does it: in order, with the executor's frames in flight."""
    waiting: deque[Pending] = deque()
    started = time.perf_counter()
    for number in range(count):
        waiting.append(executor.submit(requests[number % len(requests)]))
        if len(waiting) > executor.in_flight:
            waiting.popleft().result()
    executor.flush()
    while waiting:
        waiting.popleft().result()
    return time.perf_counter() - started


def _stage(tier: str, count: int) -> float:
    executor, requests = executor_for(_generator(tier)), _requests(16)
    _run(executor, requests, 64)
    rates = [count / _run(executor, requests, count) for _ in range(ROUNDS)]
    executor.close()
    return round(statistics.median(rates), 1)


def _trace(tier: str) -> dict[str, float]:
    executor, requests = executor_for(_generator(tier)), _requests(16)
    _run(executor, requests, 64)
    found = busy(lambda: _run(executor, requests, 96))
    executor.close()
    return found


def _file(tier: str, count: int) -> float:
    """Frames per second of decoding and repairing a file, without encoding."""
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        write_clip(clip, pan(paint(), count=count, width=NATIVE[0], height=NATIVE[1]), rate=30)
        executor = executor_for(_generator(tier))
        rates = []
        for _ in range(1 + ROUNDS):
            started = time.perf_counter()
            rates.append(_repaired(clip, executor) / (time.perf_counter() - started))
        executor.close()
    return round(statistics.median(rates[1:]), 1)  # the first one captures the graphs


def _repaired(clip: Path, executor: Executor) -> int:
    from deepclarity.pipelines.detect import detect

    summary = Summary()
    with FileSource(clip) as source:
        scored = detect(source, None, summary)
        routed = route(scored, Routing(which=FrameSelection.ALL), resize=True, enlarge=True, summary=summary)
        return sum(1 for _ in enhance(routed, executor, Fit(FULL_HD, FULL_HD, NATIVE), summary))


def _live(tier: str, count: int) -> dict[str, float]:
    """Milliseconds from submitting a 640x360 frame to its repaired planes, at 30 frames a second."""
    executor = executor_for(_generator(tier), latency=True)
    luma = np.ascontiguousarray(next(iter(pan(paint(), count=1, width=640, height=360)))[..., 1])
    chroma = np.ascontiguousarray(luma[::2, ::2])
    request = RepairRequest((luma, chroma, chroma), None, FULL_HD)
    for _ in range(8):
        executor.submit(request).result()
    times = []
    for _ in range(count):
        time.sleep(1 / 30)
        started = time.perf_counter()
        executor.submit(request).result()
        times.append(1000 * (time.perf_counter() - started))
    executor.close()
    return {"p50": round(statistics.median(times), 2), "p99": round(float(np.percentile(times, 99)), 2)}


def _against_cpu(tier: str) -> dict[str, float]:
    """Samples that differ from the CPU's in float32 by more than one level, and the largest difference."""
    on_gpu = executor_for(_generator(tier))
    on_cpu = CpuExecutor(load_enhancer(tier, device="cpu", backend="torch"))
    errors = []
    for request in _requests(2):
        pairs = zip(on_gpu.submit(request).result(), on_cpu.submit(request).result(), strict=True)
        errors += [np.abs(found.astype(int) - expected).ravel() for found, expected in pairs]
    on_gpu.close()
    flat = np.concatenate(errors)
    return {"share_over_1": round(float((flat > 1).mean()), 6), "largest": int(flat.max())}


def _memory(seconds: float) -> dict[str, float]:
    """Memory in use on the card while shapes and lattices change, after a first round of all of them."""
    executor = executor_for(_generator("srgan"))
    full = _requests(8)
    requests = []
    for number, (block, width, height) in enumerate(
        (block, width, height)
        for block in (2.0, 3.0, 4.0, 4.5, 6.0, 8.0)
        for width, height in ((1920, 1080), (1280, 720), (720, 576), (640, 360))
    ):
        luma, blue, red = full[number % 8].planes
        planes = luma[:height, :width], blue[: height // 2, : width // 2], red[: height // 2, : width // 2]
        requests.append(RepairRequest(planes, Blocks(block, block), FULL_HD))
    samples: list[tuple[float, float]] = []
    started, number = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        request = requests[number // 20 % len(requests)]
        executor.submit(request).result() if number % 50 == 0 else executor.submit(request)
        number += 1
        if number % (20 * len(requests)) == 0:
            free, total = torch.cuda.mem_get_info()
            samples.append((time.perf_counter() - started, (total - free) / 2**20))
    executor.close()
    used = [megabytes for _, megabytes in samples[1:]]
    return {"seconds": seconds, "frames": number, "rounds": len(samples), "min_mb": round(min(used, default=0.0)),
            "max_mb": round(max(used, default=0.0))}  # fmt: skip


def _print_table(results: dict[str, Any]) -> None:
    machine = results["machine"]
    print(f"\n{machine['gpu']}, torch {machine['torch']}; tests: {results['tests']}")
    for name, value in results.items():
        if name not in ("machine", "tests"):
            print(f"{name:24} {json.dumps(value)}")


if __name__ == "__main__":
    main()
