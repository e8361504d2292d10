"""`deepclarity evaluate detector`: how good the detectors are, measured on pictures made from photos of yours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepclarity.cli import options, tables

if TYPE_CHECKING:
    from deepclarity.pipelines.evaluation.detector import Evaluation
    from deepclarity.pipelines.evaluation.detector_scores import Figures, Row, Share

_ABOUT = {
    "published": "Full HD: photos in clean blocks of 1.5 to 4 pixels, and as they are",
    "video": "every size, factor, phase, codec and wear; everything that might be taken for blocks",
}


@click.command()
@click.option("--data", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Photos, or see above.")
@click.option("--method", "methods", multiple=True, metavar="DETECTOR", help="May be repeated. Default: every one.")
@click.option("--protocol", type=click.Choice(["published", "video", "all"]), default="all", help="Default: all.")
@click.option("--count", type=click.IntRange(1), default=400, help="Pictures a protocol. Default: 400.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Another seed, other pictures. Default: 0.")
@click.option(
    "--split",
    type=click.Choice(["test", "validation", "train"]),
    default="test",
    help="Which photos: 3, 3 and 14 of every twenty, by name. Default: test.",
)
@click.option("--pixel-art-counts", is_flag=True, help="Pixel art is to be called pixelated.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write every number.")
@click.option("--picture", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw the ROC curves.")
@click.option("-q", "--quiet", is_flag=True, help="Do not tell how far it is.")
@options.debug
def detector(
    data: Path,
    methods: tuple[str, ...],
    protocol: str,
    count: int,
    seed: int,
    split: str,
    pixel_art_counts: bool,
    json_file: Path | None,
    picture: Path | None,
    quiet: bool,
) -> None:
    """Measure detectors on labelled pictures that are made from the photos in DIR.

    DIR is a folder of photos, or one with train_photos/ and perhaps clips/ in it. The same seed makes the same
    pictures. Shares come with their 95 % intervals. FILEs that exist are replaced.
    """
    from deepclarity.pipelines.datasets.detector_dataset import Protocol
    from deepclarity.pipelines.datasets.photos import Split
    from deepclarity.pipelines.evaluation.detector import Job, evaluate_detector

    tables.check_targets(json_file, picture)
    options.hush_opencv()
    protocols = tuple(Protocol) if protocol == "all" else (Protocol(protocol),)
    job = Job(data, methods, protocols, count, seed, Split(split), pixel_art_counts, picture)
    found = evaluate_detector(job, tell=lambda words: None if quiet else click.echo(words, err=True))
    if json_file is not None:
        tables.write_json(json_file, found.as_json())
    for line in report(found):
        click.echo(line)


def report(found: Evaluation) -> Iterator[str]:
    """For every protocol: the figures, how each kind was called, and each cell, a column a method."""
    from deepclarity.pipelines.evaluation.detector_scores import figures

    for protocol, methods in found.groups.items():
        yield from (f"{protocol}: {_ABOUT[protocol]}; {found.job.count} pictures of split {found.job.split}", "")
        yield from tables.aligned(list(_totals({name: figures(rows) for name, rows in methods.items()})), words=1)
        for method, rows in methods.items():
            yield from ("", f"{method}: how pictures of each kind (left) were called")
            yield from tables.aligned(list(_confusion(rows)), words=1)
        yield from ("", "by what pictures are like: R recall, F false positives")
        yield from tables.aligned(list(_cells(methods)), words=3)
        for method, rows in methods.items():
            yield from ("", f"{method}: recall in %, of how many, by factor and damage")
            yield from tables.aligned(list(_by_damage(rows)), words=1)
        yield ""


def _totals(methods: Mapping[str, Figures]) -> Iterator[list[str]]:
    yield ["", *methods]
    names = {
        "recall": "recall",
        "precision": "precision",
        "accuracy": "accuracy",
        "false_positives": "false positives",
        "size": "block size within 2 %",
        "phase": "and phase within 0.5 px",
    }
    for name, words in names.items():
        yield [words, *(_share(getattr(each, name)) for each in methods.values())]
    yield ["F1", *(_f1(each) for each in methods.values())]


def _confusion(rows: Sequence[Row]) -> Iterator[list[str]]:
    from deepclarity.models.verdict import Kind
    from deepclarity.pipelines.evaluation.detector_scores import confusion

    yield ["", *Kind]
    for truth, line in confusion(rows).items():
        yield [truth, *(str(line[kind]) for kind in Kind)]


def _cells(methods: Mapping[str, Sequence[Row]]) -> Iterator[list[str]]:
    from deepclarity.pipelines.evaluation.detector import cell_tables

    made = [dict(cell_tables(rows)) for rows in methods.values()]
    yield ["", "", "", *methods]
    for name, table in made[0].items():
        for value in table:
            for number, letter in enumerate("RF"):
                shares = [each[name][value][number] for each in made]
                if shares[0].of:
                    yield [name, value, letter, *map(_share, shares)]


def _by_damage(rows: Sequence[Row]) -> Iterator[list[str]]:
    from deepclarity.pipelines.datasets.augment import LEVELS
    from deepclarity.pipelines.evaluation.detector import crossed

    table = crossed(rows, "level")
    yield ["", "uncoded", *LEVELS]
    for factor in dict.fromkeys(value.split()[0] for value in table):
        shares = [table[at][0] if (at := f"{factor} {level}") in table else None for level in ("none", *LEVELS)]
        yield [factor, *(f"{100 * (share.value or 0):.0f} of {share.of}" if share else "–" for share in shares)]


def _share(share: Share) -> str:
    if share.value is None:
        return "–"
    low, high = share.interval
    return f"{100 * share.value:.1f} % ({100 * low:.1f}–{100 * high:.1f}) of {share.of}"


def _f1(found: Figures) -> str:
    low, high = found.f1_interval
    return "–" if found.f1 is None else f"{found.f1:.4f} ({low:.4f}–{high:.4f})"
