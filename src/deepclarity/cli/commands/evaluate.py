"""`deepclarity evaluate`: evaluate enhancers and detectors on your own data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepclarity.cli import options, tables

from .evaluate_detector import detector

if TYPE_CHECKING:
    from deepclarity.pipelines.evaluation.enhancer import Evaluation
    from deepclarity.pipelines.evaluation.scores import Row

_ABOUT = {
    "standard": "×4 from MATLAB-bicubic inputs; BT.601 Y', 4 px border cropped",
    "pictures": "4×4 blocks, JPEG quality 60 4:2:0, repaired as by 'correct'",
    "video": "pixelated, H.264, repaired on the true lattice; flicker: change of static pixels in levels",
    "harm": "damaged in every way, through detect, route and enhance; against the input, on luma",
}
_COLUMNS = {
    "standard": ("psnr_y", "ssim_y", "lpips"),
    "pictures": ("psnr_y", "ssim_y", "lpips"),
    "video": ("psnr_y", "lpips", "flicker"),
    "harm": ("gain_y", "worst_gain_y", "tiles_lost", "outside_gain_y", "outside_tiles_lost"),
}
_HEADERS = {
    "psnr_y": ("PSNR-Y dB", 2),
    "ssim_y": ("SSIM-Y", 4),
    "lpips": ("LPIPS", 3),
    "flicker": ("flicker", 3),
    "gain_y": ("gain dB", 2),
    "worst_gain_y": ("worst frame dB", 2),
    "tiles_lost": ("tiles worse %", 2),
    "outside_gain_y": ("outside, worst frame dB", 2),
    "outside_tiles_lost": ("outside, tiles worse %", 2),
}
"""Column header and number of decimals of each metric."""


@click.group()
def evaluate() -> None:
    """Evaluate enhancers and detectors on test data."""


@evaluate.command()
@click.option("--data", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Test data; see above.")
@click.option("--model", "models", multiple=True, metavar="TIER", help="Enhancer tier; repeatable. Default: all.")
@click.option(
    "--protocol",
    type=click.Choice(["standard", "pictures", "video", "harm", "all"]),
    default="standard",
    help="×4 super-resolution benchmark, pixelated pictures, pixelated video (slow), frames made worse (slow), or all "
    "of them. Default: standard.",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write all results as JSON.")
@click.option("--sheet", type=click.Path(path_type=Path), metavar="FILE.png", help="Plot input, output and target.")
@click.option("--lpips", type=click.Path(path_type=Path), metavar="FILE.npz", help="LPIPS weights. Default: from DIR.")
@options.device_auto
@click.option("--frames", type=click.IntRange(2, 250), default=12, help="Frames per clip. Default: 12.")
@click.option("--clips", multiple=True, metavar="NAME", help="Only clips with NAME in their file name; repeatable.")
@click.option("-q", "--quiet", is_flag=True, help="Do not print progress.")
@options.debug
def enhancer(
    data: Path,
    models: tuple[str, ...],
    protocol: str,
    json_file: Path | None,
    sheet: Path | None,
    lpips: Path | None,
    device: str,
    frames: int,
    clips: tuple[str, ...],
    quiet: bool,
) -> None:
    """Evaluate enhancer tiers against a Lanczos baseline.

    DIR is searched for test sets (folders that contain hr/ and lr_x4/ with pictures of the same names, the latter at
    a quarter of the size), for videos in a folder named clips, and for the LPIPS weights lpips_alexnet_fp32.npz.
    Existing output files are overwritten.
    """
    from deepclarity.pipelines.evaluation.enhancer import Job, Protocol
    from deepclarity.pipelines.evaluation.enhancer import evaluate as run_evaluation

    tables.check_targets(json_file, sheet)
    options.silence_opencv()
    protocols = tuple(Protocol) if protocol == "all" else (Protocol(protocol),)
    job = Job(data, models, protocols, frames, clips, lpips, device, sheet)
    evaluation = run_evaluation(job, notify=lambda text: None if quiet else click.echo(text, err=True))
    if json_file is not None:
        tables.write_json(json_file, evaluation.as_json())
    for line in report(evaluation):
        click.echo(line)


def report(evaluation: Evaluation) -> Iterator[str]:
    """One aligned table per protocol; missing values are shown as –."""
    for name, backend in evaluation.backends.items():
        yield f"{name}: {backend}"
    for protocol, about in _ABOUT.items():
        if rows := evaluation.of(protocol):
            yield from ("", f"{protocol}: {about}")
            yield from tables.align_columns(list(_table(protocol, rows)))


def _table(protocol: str, rows: Sequence[Row]) -> Iterator[list[str]]:
    from deepclarity.pipelines.evaluation.scores import means, missed

    measures = {measure: means(rows, measure) for measure in _COLUMNS[protocol]}
    blind = missed(rows)
    yield ["", "", *(_HEADERS[measure][0] for measure in measures), *(["missed"] if blind else [])]
    last = None
    for group, method in dict.fromkeys((row.group, row.method) for row in rows):
        cells = [_number(table.get(group, {}).get(method), _HEADERS[measure][1]) for measure, table in measures.items()]
        if blind:
            cells.append("{} of {}".format(*blind[group]) if group != last else "")
        yield [group if group != last else "", method, *cells]
        last = group


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


evaluate.add_command(detector)
