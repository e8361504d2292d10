"""Claim: a repair never makes a frame worse.

The harm protocol of `deepclarity evaluate enhancer` on a folder of clips, condensed to a row for each kind of damage:
means over the clips, and the worst frame and the worst clip.

    python benchmarks/harm.py --data DIR [--tier turbo] [--frames 6] [--out benchmarks/results/kinds/harm.json]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from deepclarity.models.detectors import DEFAULT_DETECTOR, load_detector
from deepclarity.models.load import load_enhancer
from deepclarity.pipelines.evaluation.harm import harm
from deepclarity.pipelines.evaluation.scores import Row

RESULTS = Path(__file__).parent / "results" / "kinds" / "harm.json"


def condensed(rows: Iterable[Row]) -> list[Mapping[str, Any]]:
    """One entry for each damage, in the order in which they come."""
    by_damage: dict[str, list[Row]] = {}
    for row in rows:
        by_damage.setdefault(row.group, []).append(row)
    return [{"damage": damage, **_measures(found)} for damage, found in by_damage.items()]


def _measures(rows: list[Row]) -> dict[str, float]:
    def values(name: str) -> list[float]:
        return [value for row in rows if (value := getattr(row.scores, name)) is not None]

    def mean(name: str) -> float:
        return round(sum(values(name)) / len(values(name)), 4)

    measures = {
        "gain_y": mean("gain_y"),
        "worst_gain_y": round(min(values("worst_gain_y")), 4),
        "clips_gained": sum(value > 0 for value in values("gain_y")),
        "tiles_lost": mean("tiles_lost"),
        "worst_tiles_lost": round(max(values("tiles_lost")), 4),
    }
    if values("outside_gain_y"):
        measures["outside_gain_y"] = mean("outside_gain_y")
        measures["worst_outside_gain_y"] = round(min(values("outside_gain_y")), 4)
        measures["outside_tiles_lost"] = mean("outside_tiles_lost")
        measures["inside_gain_y"], measures["entire_gain_y"] = mean("inside_gain_y"), mean("entire_gain_y")
    return measures


def main() -> None:
    """Measure, and write the results as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder that contains a folder `clips`")
    parser.add_argument("--tier", default="turbo")
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--out", type=Path, default=RESULTS)
    wanted = parser.parse_args()
    clips = sorted(path for path in (wanted.data / "clips").iterdir() if path.suffix not in {".md", ".txt", ""})
    tier = load_enhancer(wanted.tier, device="cpu")
    detector = load_detector(DEFAULT_DETECTOR)
    rows = list(harm(clips, [tier], detector=detector, frames=wanted.frames, notify=print))
    for row in rows:
        print(row.group, row.item, row.scores)
    settings = {
        "tier": wanted.tier,
        "backend": tier.backend,
        "detector": DEFAULT_DETECTOR,
        "frames": wanted.frames,
        "clips": list(dict.fromkeys(row.item for row in rows)),
    }
    wanted.out.write_text(json.dumps({"settings": settings, "damages": condensed(rows)}, indent=1) + "\n")


if __name__ == "__main__":
    main()
