"""`deepclarity evaluate detector`: evaluate detectors on pictures generated from your own photos."""

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
    "published": "Full HD: photos in clean blocks of 1.5 to 4 pixels, and unchanged photos",
    "video": "every size, factor, phase, codec and degradation; negatives that resemble blocks",
}


@click.command()
@click.option("--data", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Photos; see above.")
@click.option("--method", "methods", multiple=True, metavar="DETECTOR", help="Detector; repeatable. Default: all.")
@click.option(
    "--protocol",
    type=click.Choice(["published", "video", "all"]),
    default="all",
    help="Test set. Default: all.",
)
@click.option("--count", type=click.IntRange(1), default=400, help="Pictures per protocol. Default: 400.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Random seed of the pictures. Default: 0.")
@click.option(
    "--split",
    type=click.Choice(["test", "validation", "train"]),
    default="test",
    help="Split of the photos: 3, 3 and 14 of every 20, by name. Default: test.",
)
@click.option("--pixel-art-counts", is_flag=True, help="Count pixel art as pixelated.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write all results as JSON.")
@click.option("--picture", type=click.Path(path_type=Path), metavar="FILE.png", help="Plot the ROC curves.")
@click.option("-q", "--quiet", is_flag=True, help="Do not print progress.")
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
    """Evaluate detectors on labelled pictures generated from photos.

    DIR is a folder of photos, or a folder that contains train_photos/ and optionally clips/. The same seed generates
    the same pictures. Rates are printed with 95 % confidence intervals. Existing output files are overwritten.
    """
    from deepclarity.pipelines.datasets.detector_dataset import Protocol
    from deepclarity.pipelines.datasets.photos import Split
    from deepclarity.pipelines.evaluation.detector import Job, evaluate_detector

    tables.check_targets(json_file, picture)
    options.silence_opencv()
    protocols = tuple(Protocol) if protocol == "all" else (Protocol(protocol),)
    job = Job(data, methods, protocols, count, seed, Split(split), pixel_art_counts, picture)
    evaluation = evaluate_detector(job, notify=lambda text: None if quiet else click.echo(text, err=True))
    if json_file is not None:
        tables.write_json(json_file, evaluation.as_json())
    for line in report(evaluation):
        click.echo(line)


def report(evaluation: Evaluation) -> Iterator[str]:
    """For each protocol: metrics, confusion matrix and results per group of pictures, one column per method."""
    from deepclarity.pipelines.evaluation.detector_scores import figures

    for protocol, methods in evaluation.groups.items():
        yield from (
            f"{protocol}: {_ABOUT[protocol]}; {evaluation.job.count} pictures of split {evaluation.job.split}",
            "",
        )
        yield from tables.align_columns(
            list(_totals({name: figures(rows) for name, rows in methods.items()})), text_columns=1
        )
        for method, rows in methods.items():
            yield from ("", f"{method}: confusion matrix, true kind in rows, detected kind in columns")
            yield from tables.align_columns(list(_confusion(rows)), text_columns=1)
        yield from ("", "by group of pictures: R recall, F false positives")
        yield from tables.align_columns(list(_groups(methods)), text_columns=3)
        for method, rows in methods.items():
            yield from ("", f"{method}: recall in % and number of pictures, by factor and degradation level")
            yield from tables.align_columns(list(_by_degradation(rows)), text_columns=1)
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
    for name, label in names.items():
        yield [label, *(_share(getattr(each, name)) for each in methods.values())]
    yield ["F1", *(_f1(each) for each in methods.values())]


def _confusion(rows: Sequence[Row]) -> Iterator[list[str]]:
    from deepclarity.pipelines.evaluation.detector_scores import DETECTABLE, confusion

    yield ["", *DETECTABLE]
    for truth, line in confusion(rows).items():
        yield [truth, *(str(line[kind]) for kind in DETECTABLE)]


def _groups(methods: Mapping[str, Sequence[Row]]) -> Iterator[list[str]]:
    from deepclarity.pipelines.evaluation.detector import cell_tables

    by_method = [dict(cell_tables(rows)) for rows in methods.values()]
    yield ["", "", "", *methods]
    for name, table in by_method[0].items():
        for value in table:
            for number, letter in enumerate("RF"):
                shares = [each[name][value][number] for each in by_method]
                if shares[0].of:
                    yield [name, value, letter, *map(_share, shares)]


def _by_degradation(rows: Sequence[Row]) -> Iterator[list[str]]:
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


def _f1(result: Figures) -> str:
    low, high = result.f1_interval
    return "–" if result.f1 is None else f"{result.f1:.4f} ({low:.4f}–{high:.4f})"
