"""Claim: memory stays flat however long the video is.

Ten minutes of Full HD, half of it pixelated, through `deepclarity upscale` in its own process; its resident memory is
read twice a second from /proc (Linux only).

    python benchmarks/memory.py [--minutes 10] [--out benchmarks/results/memory.json]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from support.machine import describe

from deepclarity.pipelines.demo.scene import paint, pan, pixelate
from deepclarity.stream.files.clip import write_clip

RATE = 25
LOOP_S = 8
SETTLED_S = 10.0


def long_clip(folder: Path, minutes: float) -> Path:
    """Write a clip by repeating a short one, whose second half is pixelated."""
    short, long = folder / "short.mp4", folder / "long.mp4"
    count = RATE * LOOP_S
    frames = enumerate(pan(paint(), count=count))
    write_clip(short, (pixelate(f, block_px=4) if n >= count // 2 else f for n, f in frames), rate=RATE)
    with av.open(str(long), "w") as write:
        with av.open(str(short)) as read:
            out = write.add_stream_from_template(read.streams.video[0], opaque=True)
            out.time_base = Fraction(1, 12_800)
        for turn in range(round(minutes * 60 / LOOP_S)):
            with av.open(str(short)) as read:
                for packet in read.demux(video=0):
                    if packet.size and packet.dts is not None and packet.pts is not None:
                        shift = int(turn * LOOP_S / packet.time_base)
                        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                        packet.stream = out
                        write.mux(packet)
    return long


def resident_mb(pid: int) -> float | None:
    """Resident memory of a process in MiB; None once it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    line = next((line for line in status.splitlines() if line.startswith("VmRSS")), None)
    return int(line.split()[1]) / 1024 if line else None


def watched(command: list[str]) -> Iterator[tuple[float, float]]:
    """(seconds, MiB) twice a second while `command` runs; raises if it fails."""
    began = time.monotonic()
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            used = resident_mb(process.pid)
            if used is not None:
                yield time.monotonic() - began, used
            time.sleep(0.5)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "memory.json")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip, out = long_clip(Path(folder), chosen.minutes), Path(folder) / "out.mp4"
        command = [sys.executable, "-m", "deepclarity", "upscale", str(clip), "-o", str(out), "--device", "cpu"]
        samples = list(watched(command))
    settled = [used for at, used in samples if at >= SETTLED_S]
    result = {
        "claim": "memory stays flat",
        "machine": describe(),
        "video_minutes": chosen.minutes,
        "wall_s": round(samples[-1][0], 1),
        "after_10_s": {"least_mb": round(min(settled)), "most_mb": round(max(settled))},
        "most_mb": round(max(used for _, used in samples)),
        "every_minute_mb": [round(used) for _, used in samples[::120]],
    }
    chosen.out.parent.mkdir(exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
