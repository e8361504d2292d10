"""Write the README's tables from the results in `benchmarks/results`.

python benchmarks/table.py          writes README.md
python benchmarks/table.py --check  fails where the README does not show the results
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
README = HERE.parent / "README.md"


def corridor() -> str:
    """The lanes against plain transcoding."""
    told = json.loads((HERE / "results" / "corridor.json").read_text())
    machine, grid = told["machine"], told["grid_on_full_hd_luma"]
    lines = ["| lane | DeepClarity, frames/s | plain PyAV transcode, frames/s | ratio |", "|---|---|---|---|"]
    lines += [
        f"| {row['lane']} | {row['corridor_frames_per_s']} | {row['plain_frames_per_s']} | {row['ratio']} |"
        for row in told["lanes"]
    ]
    lines += [
        "",
        f"Files in to files out, {told['settings']['encoder']} {told['settings']['speed']}, medians of "
        f"{told['settings']['rounds']} rounds in one run on {machine['cores']} cores of {machine['cpu']}. "
        f"The detector alone takes {grid['clean_median_ms']} ms (clean) to {grid['pixelated_median_ms']} ms "
        f"(pixelated) a Full HD frame on one core. `python benchmarks/corridor.py` measures it again.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Replace what stands between the markers."""
    text = README.read_text()
    pattern = re.compile(r"(<!-- corridor -->).*?(<!-- /corridor -->)", re.DOTALL)
    new = pattern.sub(lambda found: f"{found[1]}\n{corridor()}\n{found[2]}", text)
    if "--check" in sys.argv:
        sys.exit("README.md does not show the results: run benchmarks/table.py" if new != text else 0)
    README.write_text(new)


if __name__ == "__main__":
    main()
