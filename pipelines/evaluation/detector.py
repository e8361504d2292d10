"""`evaluate detector`: scores labelled pictures with each method and computes the figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from deepclarity.models.detectors import DETECTORS, load_detector
from deepclarity.models.verdict import Detector, Verdict
from deepclarity.pipelines.datasets.detector_dataset import DetectorDataset, Protocol, Sample
from deepclarity.pipelines.datasets.photos import Split, find_source_images
from deepclarity.pipelines.report.plots import RocCurve, plot_roc
from deepclarity.stream.files.still import write_picture

from .detector_scores import (
    FACTORS_OF_A_CELL,
    Cells,
    Row,
    area_under,
    by_factor,
    cells,
    confusion,
    figures,
    phase_error_px,
    roc,
    size_error,
)
from .scores import Notify

_REPORT_EVERY = 100


@dataclass(frozen=True, slots=True)
class Job:
    """An evaluation job: detectors, data and options."""

    data: Path
    """A folder of photos, or one that contains `train_photos` and optionally `clips`."""
    methods: tuple[str, ...] = ()
    """Names of the detectors; empty: all."""
    protocols: tuple[Protocol, ...] = tuple(Protocol)
    count: int = 400
    """Pictures per protocol."""
    seed: int = 0
    split: Split = Split.TEST
    pixel_art_counts: bool = False
    """Whether pixel art counts as pixelated."""
    picture: Path | None = None
    """Path of the ROC plot; None: no plot."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of an evaluation."""

    job: Job
    rows: list[Row]

    @property
    def groups(self) -> dict[str, dict[str, list[Row]]]:
        """Protocol → method → its rows."""
        found: dict[str, dict[str, list[Row]]] = {}
        for row in self.rows:
            found.setdefault(row.protocol, {}).setdefault(row.method, []).append(row)
        return found

    def as_json(self) -> dict[str, Any]:
        """Everything as JSON values: metrics by protocol and method, and every row."""
        job = self.job
        reported = {"seed": job.seed, "split": job.split, "count": job.count, "pixel_art_counts": job.pixel_art_counts}
        found = {
            protocol: {method: _summary(rows) for method, rows in methods.items()}
            for protocol, methods in self.groups.items()
        }
        return {
            **reported,
            "protocols": found,
            "rows": [asdict(replace(row, cell=dict(row.cell))) for row in self.rows],
        }


def evaluate_detector(job: Job, *, notify: Notify) -> Evaluation:
    """Score the pictures of every protocol with every method; raises UsageError or SourceError for invalid jobs."""
    names = dict.fromkeys(job.methods or DETECTORS)
    detectors = [load_detector(name, pixel_art=job.pixel_art_counts) for name in names]
    source_images = find_source_images(job.data, job.split)
    rows: list[Row] = []
    for protocol in job.protocols:
        seen = DetectorDataset(source_images, protocol=protocol, seed=job.seed, pixel_art_counts=job.pixel_art_counts)
        for index, sample in enumerate(seen.first(job.count)):
            if index % _REPORT_EVERY == 0:
                notify(f"{protocol}: {index} of {job.count} pictures")
            rows += [row_of(sample, detector, protocol=protocol, index=index) for detector in detectors]
    found = Evaluation(job, rows)
    if job.picture:
        write_picture(job.picture, plot_roc({name: _roc_curves(methods) for name, methods in found.groups.items()}))
    return found


def _roc_curves(methods: dict[str, list[Row]]) -> list[RocCurve]:
    curves = {method: roc(rows) for method, rows in methods.items()}
    return [RocCurve(method, points, area_under(points)) for method, points in curves.items()]


def row_of(sample: Sample, detector: Detector, *, protocol: str, index: int) -> Row:
    """The verdict of `detector` on `sample`, with the label."""
    verdict = detector(sample.planes[0], chroma=sample.planes[1:])
    wrong_by, beside = _errors(sample, verdict)
    return Row(protocol, index, detector.name, sample.kind, verdict.kind, verdict.score, sample.cell, wrong_by, beside)


def _errors(sample: Sample, verdict: Verdict) -> tuple[float | None, float | None]:
    if sample.blocks is None or verdict.blocks is None:
        return None, None
    height, width = sample.planes[0].shape
    left, top, wide, high = sample.region or (0, 0, width, height)
    middle = left + wide / 2, top + high / 2
    found = verdict.blocks
    return size_error(sample.blocks, found), phase_error_px(sample.blocks, found, middle)


def cell_tables(rows: Sequence[Row]) -> Iterator[tuple[str, Cells]]:
    """Metrics by each property of the cells that these rows have."""
    for name in FACTORS_OF_A_CELL:
        if table := cells(rows, by_factor(name)):
            yield name, table


def crossed(rows: Sequence[Row], across: str) -> Cells:
    """Recall by block size and another property of the pixelated pictures, such as `4 hard` for `level`."""
    return cells(
        [row for row in rows if row.positive and "factor" in row.cell],
        lambda row: [f"{row.cell['factor']} {row.cell[across]}"],
    )


def _summary(rows: Sequence[Row]) -> dict[str, Any]:
    """One method's metrics under one protocol, as JSON values."""
    curve, tables = roc(rows), dict(cell_tables(rows))
    tables |= {f"factor, {across}": crossed(rows, across) for across in ("level", "quality")}
    reported: dict[str, Any] = {
        name: {
            value: {"recall": recall.as_json(), "false_positives": wrong.as_json()}
            for value, (recall, wrong) in table.items()
        }
        for name, table in tables.items()
    }
    return {
        **figures(rows).as_json(),
        "area_under_roc": area_under(curve) if curve else None,
        "confusion": confusion(rows),
        "cells": reported,
    }
