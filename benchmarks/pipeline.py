"""Claim: the pipeline costs little more than decoding and encoding alone.

Each lane is timed against PyAV alone on the same file, with the same encoder and settings: decode, Lanczos to Full HD
by swscale if the size differs, encode. Both alternate in one run; medians.

    python benchmarks/pipeline.py [--rounds 5] [--out benchmarks/results/pipeline.json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import Interpolation
from support.machine import describe

from deepclarity.models.detectors import load_detector
from deepclarity.pipelines.demo.scene import paint, pan, pixelate
from deepclarity.pipelines.preset import Preset
from deepclarity.pipelines.route import FrameSelection
from deepclarity.pipelines.upscale import Job, upscale
from deepclarity.stream.files.clip import write_clip
from deepclarity.stream.files.source import FileSource

FRAMES = 200
CRF = 18
SPEED = "superfast"


def plain(source: Path, target: Path) -> int:
    """Decode, enlarge by Lanczos, encode: no detector, no network, no error handling."""
    count = 0
    with av.open(str(source)) as read, av.open(str(target), "w") as write:
        video = read.streams.video[0]
        video.thread_type = "AUTO"
        out = write.add_stream("libx264", rate=video.average_rate, options={"crf": str(CRF), "preset": SPEED})
        out.width, out.height, out.pix_fmt = 1920, 1080, "yuv420p"
        for picture in read.decode(video):
            if (picture.width, picture.height) != (1920, 1080):
                pts, base = picture.pts, picture.time_base
                picture = picture.reformat(1920, 1080, interpolation=Interpolation.LANCZOS)  # noqa: PLW2901
                picture.pts, picture.time_base = pts, base
            picture.pict_type = PictureType.NONE
            write.mux(out.encode(picture))
            count += 1
        write.mux(out.encode(None))
    return count


def lane(which: FrameSelection) -> Callable[[Path, Path], int]:
    """The pipeline over one file, with the same encoder and settings."""
    preset = replace(Preset(), which=which, crf=CRF, speed=SPEED, codec="h264", encoder="software", device="cpu")

    def run(source: Path, target: Path) -> int:
        return upscale(Job(source, target, preset, overwrite=True)).frames_out

    return run


def clips(folder: Path) -> Iterator[tuple[str, Path, FrameSelection]]:
    """One clip per lane: clean Full HD, clean and small, pixelated Full HD, small with --all."""
    canvas = paint()
    for name, size, which, block in (
        ("pass: clean 1920x1080", (1920, 1080), FrameSelection.PIXELATED, 0),
        ("resize: clean 480x270", (480, 270), FrameSelection.PIXELATED, 0),
        ("enhance: 1920x1080 in 4-pixel blocks", (1920, 1080), FrameSelection.PIXELATED, 4),
        ("enhance: 480x270 with --all", (480, 270), FrameSelection.ALL, 0),
    ):
        path = folder / f"{len(list(folder.iterdir()))}.mp4"
        frames = pan(canvas, count=FRAMES, width=size[0], height=size[1])
        write_clip(path, (pixelate(f, block_px=block) if block else f for f in frames), rate=25, crf=20)
        yield name, path, which


def timed(work: Callable[[Path, Path], int], source: Path, target: Path) -> float:
    """Frames per second of wall clock time, from opening the source to the finished file."""
    began = time.perf_counter()
    return work(source, target) / (time.perf_counter() - began)


def compare(folder: Path, rounds: int) -> list[dict[str, object]]:
    """Every lane alternating with plain transcoding."""
    rows: list[dict[str, object]] = []
    for name, source, which in list(clips(folder)):
        ours, theirs = [], []
        for turn in range(rounds + 1):  # the first round warms up caches and does not count
            theirs.append(timed(plain, source, folder / "plain.out.mp4"))
            ours.append(timed(lane(which), source, folder / "pipeline.out.mp4"))
            print(f"{name}  round {turn}: pipeline {ours[-1]:.1f}, plain {theirs[-1]:.1f} frames/s", flush=True)
        mine, other = statistics.median(ours[1:]), statistics.median(theirs[1:])
        ratio = statistics.median(a / b for a, b in zip(ours[1:], theirs[1:], strict=True))
        rows.append(
            {
                "lane": name,
                "frames": FRAMES,
                "deepclarity_frames_per_s": round(mine, 1),
                "plain_frames_per_s": round(other, 1),
                "ratio": round(ratio, 2),
            }
        )
    return rows


def detector_ms(repeats: int = 200) -> dict[str, object]:
    """`grid` on a decoded Full HD luma plane, one core, clean and pixelated."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    detector, found = load_detector("grid"), {}
    with tempfile.TemporaryDirectory() as folder:
        frames = list(pan(paint(), count=2))
        for name, picture in (("clean", frames[0]), ("pixelated", pixelate(frames[0], block_px=4))):
            path = Path(folder) / f"{name}.mp4"
            write_clip(path, [picture] * 2, crf=23)
            with FileSource(path) as source:
                luma = next(iter(source)).luma
                took = []
                for _ in range(repeats):
                    began = time.perf_counter()
                    detector(luma)
                    took.append((time.perf_counter() - began) * 1000)
            found[f"{name}_median_ms"] = round(statistics.median(took), 2)
            found[f"{name}_p99_ms"] = round(float(np.percentile(took, 99)), 2)
    cv2.setNumThreads(threads)
    return found


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "pipeline.json")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = compare(Path(folder), chosen.rounds)
    result = {
        "claim": "the pipeline against decode, Lanczos and encode by PyAV alone",
        "machine": describe(),
        "settings": {"encoder": "libx264", "speed": SPEED, "crf": CRF, "rounds": chosen.rounds},
        "lanes": rows,
        "grid_on_full_hd_luma": detector_ms(),
    }
    chosen.out.parent.mkdir(exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
