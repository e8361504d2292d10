"""`deepclarity evaluate`: how good enhancer tiers and detectors are, measured on data of yours."""

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
    "standard": "×4 from MATLAB-bicubic inputs; Y' of BT.601, 4 px of border left out",
    "pictures": "4×4 blocks, JPEG 60 4:2:0, repaired as 'correct' does",
    "video": "pixelated, H.264, repaired on the true lattice; flicker: levels that still pixels move",
}
_COLUMNS = {
    "standard": ("psnr_y", "ssim_y", "lpips"),
    "pictures": ("psnr_y", "ssim_y", "lpips"),
    "video": ("psnr_y", "lpips", "flicker"),
}
_HEADS = {"psnr_y": ("PSNR-Y dB", 2), "ssim_y": ("SSIM-Y", 4), "lpips": ("LPIPS", 3), "flicker": ("flicker", 3)}
"""What a measure's column is called, and its digits."""


@click.group()
def evaluate() -> None:
    """Measure models on test data."""


@evaluate.command()
@click.option("--data", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Searched for test data.")
@click.option("--model", "models", multiple=True, metavar="TIER", help="May be repeated. Default: every tier.")
@click.option(
    "--protocol",
    type=click.Choice(["standard", "pictures", "video", "all"]),
    default="standard",
    help="×4 as in the literature (default), pixelated pictures, pixelated video (many minutes), or all three.",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write every number.")
@click.option("--sheet", type=click.Path(path_type=Path), metavar="FILE.png", help="Write input, output, target.")
@click.option("--lpips", type=click.Path(path_type=Path), metavar="FILE.npz", help="LPIPS weights. Default: below DIR.")
@click.option("--device", default="auto", metavar="auto|cpu|cuda[:N]", help="Where the networks run.")
@click.option("--frames", type=click.IntRange(2, 250), default=12, help="Frames of each clip. Default: 12.")
@click.option("--clips", multiple=True, metavar="NAME", help="Only clips whose names hold this. May be repeated.")
@click.option("-q", "--quiet", is_flag=True, help="Do not tell how far it is.")
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
    """Measure enhancer tiers on the test sets and clips below DIR, Lanczos always beside them.

    A test set is a folder with hr/ and lr_x4/ (pictures of equal names, 4 to 1), clips are the videos in a folder
    called clips, and lpips_alexnet_fp32.npz holds the weights for LPIPS. FILEs that exist are replaced.
    """
    from deepclarity.pipelines.evaluation.enhancer import Job, Protocol
    from deepclarity.pipelines.evaluation.enhancer import evaluate as measure

    tables.check_targets(json_file, sheet)
    options.hush_opencv()
    protocols = tuple(Protocol) if protocol == "all" else (Protocol(protocol),)
    job = Job(data, models, protocols, frames, clips, lpips, device, sheet)
    found = measure(job, tell=lambda words: None if quiet else click.echo(words, err=True))
    if json_file is not None:
        tables.write_json(json_file, found.as_json())
    for line in report(found):
        click.echo(line)


def report(found: Evaluation) -> Iterator[str]:
    """One aligned table a protocol; what was not measured is –."""
    for name, backend in found.backends.items():
        yield f"{name}: {backend}"
    for protocol, about in _ABOUT.items():
        if rows := found.of(protocol):
            yield from ("", f"{protocol}: {about}")
            yield from tables.aligned(list(_lines(protocol, rows)))


def _lines(protocol: str, rows: Sequence[Row]) -> Iterator[list[str]]:
    from deepclarity.pipelines.evaluation.scores import means, missed

    measures = {measure: means(rows, measure) for measure in _COLUMNS[protocol]}
    blind = missed(rows)
    yield ["", "", *(_HEADS[measure][0] for measure in measures), *(["missed"] if blind else [])]
    last = None
    for group, method in dict.fromkeys((row.group, row.method) for row in rows):
        cells = [_number(table.get(group, {}).get(method), _HEADS[measure][1]) for measure, table in measures.items()]
        if blind:
            cells.append("{} of {}".format(*blind[group]) if group != last else "")
        yield [group if group != last else "", method, *cells]
        last = group


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


evaluate.add_command(detector)
