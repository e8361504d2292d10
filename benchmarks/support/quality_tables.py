"""Tables of how good the tiers and how often right the detectors are, from `benchmarks/results`."""

from __future__ import annotations

import json
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "results"
_SETS = {"set5": "Set5", "set14": "Set14", "bsd100": "half of BSD100", "urban100": "8 of Urban100"}


def tiers() -> str:
    """Table of quality and speed by tier."""
    measured = json.loads((RESULTS / "tiers.json").read_text())
    speeds = json.loads((RESULTS / "enhancer.json").read_text())
    psnr, lpips = measured["means"]["psnr_y"], measured["means"]["lpips"]
    fastest = {
        tier: max(row["frames_per_s"] for row in speeds["tiers"] if row["tier"] == tier)
        for tier in measured["backends"]
    }
    lines = [
        f"| luma PSNR, dB / LPIPS | {' | '.join(_SETS.values())} | frames/s |",
        "|---" * (len(_SETS) + 2) + "|",
    ]
    for tier in ("as is", *measured["backends"]):
        cells = [f"{psnr[name][tier]:.2f} / {lpips[name][tier]:.3f}" for name in _SETS]
        title, speed = (tier, "–") if tier == "as is" else (f"`{tier}`", f"{fastest[tier]:.0f}")
        lines.append(f"| {title} | {' | '.join(cells)} | {speed} |")
    machine = speeds["machine"]
    lines += [
        "",
        f"Pictures in blocks of 4x4 pixels and JPEG 60, repaired as by `correct`; higher PSNR and lower LPIPS are "
        f"better. Speed: 480x270 to 1920x1080 with OpenVINO on {machine['cores']} cores of {machine['cpu']}. "
        f"`{measured['command']}` and `python benchmarks/enhancer.py` measure it again.",
    ]
    return "\n".join(lines)


def detector_rates() -> str:
    """Table of recall, false positives and F1 by method."""
    protocols = json.loads((RESULTS / "detector_rates.json").read_text())["protocols"]
    methods = list(protocols["published"]["methods"])
    lines = [f"| | {' | '.join(f'`{method}`' for method in methods)} |", "|---" * (len(methods) + 1) + "|"]
    titles = {
        "published": "Full HD, clean blocks of 1.5 to 4 px",
        "video": "any size, codec and degradation, blocks of 1.5 to 16 px",
    }
    for name, title in titles.items():
        found = protocols[name]["methods"]
        rates = {
            "F1": [f"{found[method]['f1']['value']:.3f}" for method in methods],
            "recall": [f"{found[method]['recall']['share']:.1%}" for method in methods],
            "false positives": [f"{found[method]['false_positives']['share']:.1%}" for method in methods],
        }
        for kind, cells in rates.items():
            lines.append(f"| {title}: {kind} | {' | '.join(cells)} |")
    counts = " and ".join(f"{protocols[name]['count']:,}" for name in titles)
    lines += [
        "",
        f"{counts} labelled pictures, half of them pixelated, of photos that nothing was trained on. `deepclarity "
        f"evaluate detector --protocol published --count {protocols['published']['count']} --data DIR`, and "
        f"`--protocol video --count {protocols['video']['count']}`, measure it again.",
    ]
    return "\n".join(lines)
