"""Write the tables of README.md and docs/*.md from the results in `benchmarks/results`.

python benchmarks/table.py          writes the documents
python benchmarks/table.py --check  fails if a document does not match the results
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from support import quality_tables

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
QUIET = 0.97
"""Share of a core below which other work must have run on it."""


def pipeline() -> str:
    """Table of the lanes against plain transcoding."""
    reported = json.loads((HERE / "results" / "pipeline.json").read_text())
    machine, grid = reported["machine"], reported["grid_on_full_hd_luma"]
    lines = ["| lane | DeepClarity, frames/s | plain PyAV transcode, frames/s | ratio |", "|---|---|---|---|"]
    lines += [
        f"| {row['lane']} | {row['deepclarity_frames_per_s']} | {row['plain_frames_per_s']} | {row['ratio']} |"
        for row in reported["lanes"]
    ]
    lines += [
        "",
        f"Files in to files out, {reported['settings']['encoder']} {reported['settings']['speed']}, medians of "
        f"{reported['settings']['rounds']} rounds in one run on {machine['cores']} cores of {machine['cpu']}. "
        f"The classical detector `grid` alone takes {grid['clean_median_ms']} ms (clean) to "
        f"{grid['pixelated_median_ms']} ms "
        f"(pixelated) a Full HD frame on one core. `python benchmarks/pipeline.py` measures it again.",
    ]
    return "\n".join(lines)


def enhancer() -> str:
    """Table of every tier by back end."""
    reported = json.loads((HERE / "results" / "enhancer.json").read_text())
    machine = reported["machine"]
    lines = ["| tier | back end | GMAC | ms | frames/s | of the ceiling |", "|---|---|---|---|---|---|"]
    for row in reported["tiers"]:
        share = "–" if row["share_of_ceiling"] is None else f"{row['share_of_ceiling']:.0%}"
        numbers = f"{row['gmac'] or '–'} | {row['median_ms']} | {row['frames_per_s']} | {share}"
        lines.append(f"| {row['tier']} | {row['backend']} | {numbers} |")
    ceilings = ", ".join(f"{value} GMAC/s in {name}" for name, value in reported["ceiling_gmac_per_s"].items())
    lines += [
        "",
        f"480x270 to 1920x1080, luma and chroma, one frame at a time, medians of "
        f"{reported['settings']['rounds']} rounds "
        f"turn about in one run on {machine['cores']} cores of {machine['cpu']}; the ceiling is what a 64-channel "
        f"convolution reached there: {ceilings}. `python benchmarks/enhancer.py` measures it again.",
    ]
    return "\n".join(lines)


def detectors() -> str:
    """Table of every method beside FFmpeg's blockdetect, with a column for the network alone."""
    reported = json.loads((HERE / "results" / "detectors.json").read_text())
    machine, settings = reported["machine"], reported["settings"]
    by_name = {(way["method"], way["network_alone"]): way["frames"] for way in reported["ways"]}
    kinds = settings["frames"]
    titles = [*(f"{kind}, ms" for kind in kinds), "frames/s, one core", "two cores", "times blockdetect"]
    lines = [f"| from frame to verdict | {' | '.join(titles)} | network alone |", "|---" * (len(titles) + 2) + "|"]
    nothing = by_name.pop(("FFmpeg null", False), None)
    for (name, is_network), found in by_name.items():
        if is_network:
            continue
        every, alone = found["all"], by_name.get((name, True))
        times = [f"{found[kind]['median_ms']:.2f}" for kind in kinds]
        rates = [_rate(every["frames_per_s_one_core"]), _rate(every["frames_per_s_two_cores"])]
        ratio = "–" if every["times_blockdetect"] is None else f"{every['times_blockdetect']:.2f}"
        network = _rate(alone["all"]["frames_per_s_one_core"] if alone else None)
        lines.append(f"| {' | '.join([name, *times, *rates, ratio, network])} |")
    shares = "" if nothing is None else f", of which pushing and reading take {nothing['all']['median_ms']} ms"
    share = reported["least_share_of_a_core"]
    busy = f" Other work ran beside: a process had but {share:.0%} of its core." if share < QUIET else ""
    lines += [
        "",
        f"Decoded 1920x1080 frames of {settings['pictures']}, one at a time, everything counted: "
        f"{', '.join(f'{count} {kind}' for kind, count in kinds.items())}; medians of {settings['rounds']} rounds turn "
        f"about in one run on {machine['cpu']}. One core: a process by itself; two cores: two at once, one each. "
        f"`blockdetect` is FFmpeg's own filter{shares}; it says how blocky a frame is, not what the blocks are. "
        f"Network alone: frames/s on one core, on input that is ready.{busy} "
        f"`python benchmarks/detectors.py` measures it again.",
    ]
    return "\n".join(lines)


def live() -> str:
    """Table of a relay's latency with and without repair."""
    reported = json.loads((HERE / "results" / "live.json").read_text())
    machine, steady, slow = reported["machine"], reported["steady"], reported["slow"]
    lines = [
        "| 640x360 in, 1920x1080 out, 30 frames/s | every frame repaired | none repaired |",
        "|---|---|---|",
    ]
    rows = (
        ("frames/s out", "fps_out", 1),
        ("added latency, median, ms", "added_p50_ms", 0),
        ("added latency, 99 %, ms", "added_p99_ms", 0),
        ("camera to viewer, median, ms", "end_to_end_p50_ms", 0),
        ("its slope, ms a minute", "slope_ms_per_minute", 2),
        ("frames dropped", "dropped_late", 0),
    )
    for title, key, digits in rows:
        lines.append(f"| {title} | {steady[key]:.{digits}f} | {reported['plain'][key]:.{digits}f} |")
    way_down = slow["with_a_way_down"]
    lines += [
        "",
        f"`turbo` for {steady['minutes']:g} minutes on {machine['cores']} cores of {machine['cpu']}, camera, server "
        f"and viewer on the same cores; added latency is from a frame's arrival behind FFmpeg's demuxer to its leaving "
        f"for the server. With a repair three times too slow the tier stepped down after "
        f"{way_down['first_step_s']:.1f} s, start included; where there was no simpler tier, 99 % of the frames were "
        f"younger than {slow['stuck']['latency_p99_ms_worst']:.0f} ms at any time, and as a file nothing was dropped "
        f"({slow['file']['frames_out']} of {slow['file']['frames_in']}). `python benchmarks/live.py` measures it "
        f"again; `benchmarks/live_faults.py` and `benchmarks/soak.py` do so for faults and for half an hour of them.",
    ]
    return "\n".join(lines)


def harm() -> str:
    """Table of what the pipeline gains and loses by damage."""
    reported = json.loads((HERE / "results" / "kinds" / "harm.json").read_text())
    settings, rows = reported["settings"], reported["damages"]
    lines = [
        "| clips damaged by | luma gain, dB | clips that gain | worst frame, dB | tiles worse | worst clip |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        gained = f"{row['clips_gained']} of {len(settings['clips'])}"
        tiles = f"{row['tiles_lost']:.2f} % | {row['worst_tiles_lost']:.2f} %"
        lines.append(f"| {row['damage']} | {row['gain_y']:+.2f} | {gained} | {row['worst_gain_y']:+.3f} | {tiles} |")
    part = next(row for row in rows if "inside_gain_y" in row)
    lines += [
        "",
        f"Against the frames as they came in, mean of {len(settings['clips'])} clips that nothing was chosen by, "
        f"{settings['frames']} frames each, with `{settings['detector']}` and `{settings['tier']}`. Tiles: 64x64 luma "
        f"samples that lose more than 0.3 dB. Where a part is in blocks, the rest loses "
        f"{-part['outside_gain_y']:.4f} dB in the worst frame of a clip (mean; worst clip "
        f"{-part['worst_outside_gain_y']:.3f}), and {part['outside_tiles_lost']:.2f} % of its tiles; the part gains "
        f"{part['inside_gain_y']:.2f} dB, in a frame that is in blocks everywhere {part['entire_gain_y']:.2f}. "
        f"`python benchmarks/harm.py --data DIR` measures it again, for the clips in a folder `clips` below DIR.",
    ]
    return "\n".join(lines)


def gpu() -> str:
    """Table of the tiers on a GPU: network, stage, file and live."""
    reported = json.loads((HERE / "results" / "gpu.json").read_text())
    machine, live = reported["machine"], reported["live_added_ms"]
    lines = [
        "| tier | network alone, frames/s | stage, frames/s | file, frames/s | live, added ms (median / 99 %) |",
        "|---|---|---|---|---|",
    ]
    for tier, rates in reported["network_frames_per_s"].items():
        file = _rate(reported["file_frames_per_s"].get(tier))
        added = f"{live[tier]['p50']:.1f} / {live[tier]['p99']:.1f}" if tier in live else "–"
        stage = _rate(reported["stage_frames_per_s"][tier])
        lines.append(f"| {tier} | {_rate(rates['best'])} | {stage} | {file} | {added} |")
    originals = " and ".join(f"{_rate(rate)} ({name})" for name, rate in reported["originals_frames_per_s"].items())
    memory = reported["memory"]
    lines += [
        "",
        f"One {machine['gpu']}, torch {machine['torch']}, {machine['cores']} CPU cores; medians in one run. Network: "
        f"480x270 to Full HD luma, best batch. Stage: Full HD planes in blocks of 4 in host memory to repaired planes "
        f"in host memory; the card was busy {reported['trace']['srgan']['busy']:.0%} with `srgan`. File: "
        f"480x270 decoded, repaired and dropped. Live: 640x360 to Full HD. Plain residual networks for RGB, eager, "
        f"float16, one picture at a time, reached {originals} frames/s in the same run. Memory on the card was between "
        f"{memory['min_mb'] / 1000:.1f} and {memory['max_mb'] / 1000:.1f} GB while 24 shapes alternated for "
        f"{memory['seconds']:.0f} s. `python benchmarks/gpu.py` measures it again.",
    ]
    return "\n".join(lines)


def _rate(frames_per_s: float | None) -> str:
    return "–" if frames_per_s is None else f"{frames_per_s:.0f}"


def pages() -> list[Path]:
    """The documents that may contain a marked table."""
    return [README, *sorted((HERE.parent / "docs").rglob("*.md"))]


def main() -> None:
    """Replace the text between the markers of each table, in the document that has them."""
    texts = {page: page.read_text() for page in pages()}
    new = dict(texts)
    tables = {
        "pipeline": pipeline,
        "detectors": detectors,
        "detector-rates": quality_tables.detector_rates,
        "enhancer": enhancer,
        "gpu": gpu,
        "harm": harm,
        "live": live,
        "tiers": quality_tables.tiers,
    }
    for name, table in tables.items():
        pattern = re.compile(rf"(<!-- {name} -->).*?(<!-- /{name} -->)", re.DOTALL)
        holding = [page for page, text in new.items() if pattern.search(text)]
        if not holding:
            sys.exit(f"no document has the markers <!-- {name} --> and <!-- /{name} -->")
        for page in holding:
            new[page] = pattern.sub(lambda found, table=table: f"{found[1]}\n{table()}\n{found[2]}", new[page])
    outdated = [page.name for page in texts if new[page] != texts[page]]
    if "--check" in sys.argv:
        sys.exit(f"{', '.join(outdated)}: tables differ from the results; run benchmarks/table.py" if outdated else 0)
    for page, text in new.items():
        page.write_text(text)


if __name__ == "__main__":
    main()
