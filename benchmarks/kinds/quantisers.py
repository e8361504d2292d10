"""Claim: coarsely coded video is called blocky by its bitstream, at every quantiser, and finely coded video is not.

Clips are coded at fixed quantisers, written to files, read again and scored frame by frame, as `upscale` does.

    python benchmarks/kinds/quantisers.py --data DIR [--frames 12] [--out benchmarks/results/kinds/quantisers.json]
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

from deepclarity.errors import SourceError
from deepclarity.models.detectors import DEFAULT_DETECTOR, load_detector
from deepclarity.models.verdict import Detector
from deepclarity.pipelines.detect import detect
from deepclarity.pipelines.evaluation.video import read_clip
from deepclarity.pipelines.records import Summary
from deepclarity.pipelines.route import Routing, route
from deepclarity.stream.files.source import FileSource
from deepclarity.stream.frame import Planes
from deepclarity.stream.planes import picture_of

QP = (22, 26, 30, 34, 37, 40, 44, 48)
LEVELS = {"libx264": QP, "libx265": QP, "mpeg2video": (2, 4, 6, 10, 16, 24, 31), "mpeg4": (2, 4, 6, 10, 16, 24, 31)}
"""Encoder → quantisers, in its own units."""


def coded(path: Path, frames: Sequence[Planes], encoder: str, level: int) -> None:
    """Write `frames` at one quantiser, with B-frames where the encoder has them by default."""
    height, width = frames[0][0].shape
    with av.open(str(path), "w") as out:
        stream = out.add_stream(encoder, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        if encoder == "libx264":
            stream.options = {"qp": str(level), "preset": "veryfast"}
        elif encoder == "libx265":
            stream.options = {"x265-params": f"log-level=none:qp={level}", "preset": "veryfast"}
        else:
            stream.bit_rate = 1_000_000
            stream.codec_context.qmin = stream.codec_context.qmax = level
        for planes in frames:
            y, u, v = (plane.astype(np.uint8) for plane in planes)
            out.mux(stream.encode(picture_of((y, u, v), "yuv420p")))
        out.mux(stream.encode(None))


def scored(path: Path, detector: Detector) -> tuple[list[str], list[float], int]:
    """The steady kind of each frame, its severity, and how often the kind changes."""
    with FileSource(path) as source:
        found = detect(source, detector, Summary())
        routed = list(route(found, Routing(), resize=False, enlarge=False, summary=Summary()))
    kinds = [item.kind.value for item in routed]
    changes = sum(one != other for one, other in itertools.pairwise(kinds))
    return kinds, [item.scored.verdict.severity or 0.0 for item in routed], changes


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's, with mean ranks for ties."""
    ranks = []
    for values in (np.array(one), np.array(other)):
        order, rank = np.unique(values, return_inverse=True)[1], np.zeros(len(values))
        counts = np.bincount(order)
        starts = np.cumsum(counts) - counts
        rank = starts[order] + (counts[order] - 1) / 2
        ranks.append(rank)
    return float(np.corrcoef(*ranks)[0, 1])


def main() -> None:
    """Measure, and write the results as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder that contains a folder `clips`")
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results" / "kinds" / "quantisers.json")
    wanted = parser.parse_args()
    detector, clips = load_detector(DEFAULT_DETECTOR), []
    for path in sorted(each for each in (wanted.data / "clips").iterdir() if each.is_file()):
        try:
            clips.append(read_clip(path, wanted.frames))
        except SourceError:
            continue
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for encoder, levels in LEVELS.items():
            severities: list[float] = []
            asked: list[float] = []
            rows = []
            for level in levels:
                kinds: list[str] = []
                changes = 0
                for clip in clips:
                    path = Path(folder) / ("a.ts" if encoder == "mpeg2video" else "a.mp4")
                    coded(path, clip.frames, encoder, level)
                    each, severity, changed = scored(path, detector)
                    kinds += each
                    changes = max(changes, changed)
                    severities.append(float(np.mean(severity)))
                    asked.append(level)
                shares = {kind: round(kinds.count(kind) / len(kinds), 4) for kind in sorted(set(kinds))}
                rows.append({"quantiser": level, "frames": len(kinds), "shares": shares, "most_changes": changes})
                print(encoder, rows[-1], flush=True)
            results.append(
                {"encoder": encoder, "levels": rows, "rank_correlation": round(rank_correlation(severities, asked), 3)}
            )
            print(encoder, results[-1]["rank_correlation"], flush=True)
    settings = {"frames": wanted.frames, "clips": [clip.name for clip in clips], "detector": DEFAULT_DETECTOR}
    wanted.out.write_text(json.dumps({"settings": settings, "encoders": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
