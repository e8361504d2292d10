"""Claim: a clean film costs what decoding and detection cost, and leaves with its own packets.

A Full HD film in H.264 with closed GOPs, clean and with its middle tenth in blocks, goes through `upscale` with
`--copy auto` and `--copy never`, and through `detect`, in turns; packets and decoded frames are compared with the
source's.

    python benchmarks/copying.py [--seconds 60] [--rounds 3] [--out benchmarks/results/copying.json]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from support.machine import describe

from deepclarity.pipelines.demo.scene import paint, pan, pixelate

RATE, GOP, LOOP_S = 25, 50, 8
WAYS = ("copy auto", "copy never", "detect alone")


def film(path: Path, seconds: int, *, damaged: bool) -> Path:
    """A film of `seconds`; `damaged`: its middle tenth is in blocks of 4 pixels."""
    pictures = [np.ascontiguousarray(picture) for picture in pan(paint(1920, 1080), count=RATE * LOOP_S)]
    pictures += pictures[::-1]
    count = RATE * seconds
    blocks = range(count * 9 // 20, count * 11 // 20) if damaged else range(0)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        stream.codec_context.gop_size = GOP
        for number in range(count):
            picture = pictures[number % len(pictures)]
            shown = pixelate(picture, block_px=4) if number in blocks else picture
            out.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
        out.mux(stream.encode(None))
    return path


def packets(path: Path) -> list[bytes]:
    """Digests of the video packets."""
    with av.open(str(path)) as container:
        return [hashlib.md5(bytes(packet)).digest() for packet in container.demux(video=0) if packet.size]


def pictures(path: Path) -> Iterator[tuple[int, bytes]]:
    """Time and digest of every decoded picture."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for picture in container.decode(stream):
            assert picture.pts is not None
            yield round(picture.pts * picture.time_base * 1_000_000), hashlib.md5(picture.to_ndarray()).digest()


def took(way: str, source: Path, out: Path) -> float:
    """Seconds of one run as a command, start included."""
    command = [sys.executable, "-m", "deepclarity"]
    if way == "detect alone":
        command += ["detect", "--json", str(source)]
    else:
        command += ["upscale", str(source), "-o", str(out), "-y", "--quiet", "--copy", way.split()[1]]
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def measured(name: str, source: Path, folder: Path, rounds: int) -> dict[str, object]:
    """Rates of all ways in turns, and what is left of the source's packets and pictures."""
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            times[way].append(took(way, source, folder / f"{way.replace(' ', '-')}.mp4"))
            print(name, way, round(times[way][-1], 2), flush=True)
    before, after = packets(source), packets(folder / "copy-auto.mp4")
    known = set(before)
    one, other = list(pictures(source)), list(pictures(folder / "copy-auto.mp4"))
    rates = {way: round(len(one) / statistics.median(seconds), 1) for way, seconds in times.items()}
    return {
        "film": name,
        "frames": len(one),
        "frames_out": len(other),
        "frames_per_s": rates,
        "auto_over_never": round(rates["copy auto"] / rates["copy never"], 2),
        "auto_over_detect": round(rates["copy auto"] / rates["detect alone"], 2),
        "packets_identical": round(sum(packet in known for packet in after) / len(before), 4),
        "pictures_identical": round(sum(a == b for a, b in zip(one, other, strict=False)) / len(one), 4),
        "times_equal": [pts for pts, _ in one] == [pts for pts, _ in other],
        "times_increase": all(b > a for (a, _), (b, _) in pairwise(other)),
    }


def main() -> None:
    """Measure, and write the results as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "copying.json")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        films = {
            name: film(Path(folder) / f"{name}.mp4", wanted.seconds, damaged=name != "clean")
            for name in ("clean", "middle tenth in blocks")
        }
        results = [measured(name, source, Path(folder), wanted.rounds) for name, source in films.items()]
    settings = {"seconds": wanted.seconds, "rounds": wanted.rounds, "gop": GOP}
    wanted.out.write_text(json.dumps({"machine": describe(), "settings": settings, "films": results}, indent=1) + "\n")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
