"""Detector metrics: rates with confidence intervals, lattice errors, ROC curves."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import sqrt
from typing import Any

from deepclarity.models.verdict import Blocks, Kind

_Z = 1.96
SIZE_WITHIN, PHASE_WITHIN_PX = 0.02, 0.5
FACTORS_OF_A_CELL = ("class", "factor", "phase", "codec", "quality", "level", "size", "extras", "drawn")
"""Properties by which the tables distinguish pictures."""


DETECTABLE = [kind for kind in Kind if kind is not Kind.DAMAGED]
"""Damage is known from the decoder, not from the picture."""


@dataclass(frozen=True, slots=True)
class Row:
    """One picture, scored by one method."""

    protocol: str
    index: int
    method: str
    truth: Kind
    said: Kind
    score: float
    cell: Mapping[str, str]
    size_error: float | None = None
    """Relative error of the block size, the worse of both axes; None unless blocks exist and were found."""
    phase_error_px: float | None = None
    """Error of a block edge's position near the picture's centre, in pixels, the worse of both axes."""

    @property
    def positive(self) -> bool:
        """Whether the picture is pixelated."""
        return self.truth is Kind.PIXELATED

    @property
    def flagged(self) -> bool:
        """Whether the detector calls it pixelated."""
        return self.said is Kind.PIXELATED


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` out of `of`."""

    hits: int
    of: int

    @property
    def value(self) -> float | None:
        """0..1; None if `of` is 0."""
        return self.hits / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % score interval (1927) of the true share: valid for few and for rare hits as well."""
        if not self.of:
            return 0.0, 1.0
        share, spread = self.hits / self.of, _Z**2 / self.of
        middle, half = share + spread / 2, _Z * sqrt(share * (1 - share) / self.of + spread / (4 * self.of))
        low, high = (middle - half) / (1 + spread), (middle + half) / (1 + spread)
        return max(0.0, low), min(1.0, high)

    def as_json(self) -> dict[str, Any]:
        """The share with its interval, as JSON values."""
        return {
            "share": self.value,
            "low": self.interval[0],
            "high": self.interval[1],
            "hits": self.hits,
            "of": self.of,
        }


@dataclass(frozen=True, slots=True)
class Figures:
    """Metrics of one method on many pictures."""

    recall: Share
    precision: Share
    accuracy: Share
    false_positives: Share
    size: Share
    """True positives with a block size within 2 %."""
    phase: Share
    """True positives whose block edges are also within half a pixel."""
    jaccard: Share
    """Jaccard index J: true positives among all pictures that are pixelated or called so; F1 follows from it."""

    @property
    def f1(self) -> float | None:
        """2 J / (1 + J)."""
        return None if self.jaccard.value is None else _f1(self.jaccard.value)

    @property
    def f1_interval(self) -> tuple[float, float]:
        """95 % interval of F1, which is a monotonic function of J."""
        low, high = self.jaccard.interval
        return _f1(low), _f1(high)

    def as_json(self) -> dict[str, Any]:
        """Every metric, as JSON values."""
        shares = {name: Share(**values).as_json() for name, values in asdict(self).items() if name != "jaccard"}
        return {**shares, "f1": {"value": self.f1, "low": self.f1_interval[0], "high": self.f1_interval[1]}}


def figures(rows: Sequence[Row]) -> Figures:
    """Compute the metrics of one method's rows."""
    found = [row for row in rows if row.flagged and row.positive]
    positives, flagged = sum(row.positive for row in rows), sum(row.flagged for row in rows)
    wrong = flagged - len(found)
    sized = [row for row in found if row.size_error is not None and row.size_error <= SIZE_WITHIN]
    placed = [row for row in sized if row.phase_error_px is not None and row.phase_error_px <= PHASE_WITHIN_PX]
    return Figures(
        recall=Share(len(found), positives),
        precision=Share(len(found), flagged),
        accuracy=Share(sum(row.flagged == row.positive for row in rows), len(rows)),
        false_positives=Share(wrong, len(rows) - positives),
        size=Share(len(sized), len(found)),
        phase=Share(len(placed), len(found)),
        jaccard=Share(len(found), positives + wrong),
    )


Cells = dict[str, tuple[Share, Share]]
"""Property → (recall, false positives) of the pictures with it."""


def cells(rows: Iterable[Row], key: Callable[[Row], Iterable[str]]) -> Cells:
    """Value of `key` → (recall, false positives) of the rows with that value."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        for value in key(row):
            groups.setdefault(value, []).append(row)
    made = {value: figures(group) for value, group in sorted(groups.items(), key=lambda item: _natural(item[0]))}
    return {value: (each.recall, each.false_positives) for value, each in made.items()}


def by_factor(name: str) -> Callable[[Row], Iterable[str]]:
    """A key for `cells`: one property of the cell; `extras` are counted individually."""

    def key(row: Row) -> Iterable[str]:
        value = row.cell.get(name)
        return value.split("+") if value else ()

    return key


def confusion(rows: Iterable[Row]) -> dict[str, dict[str, int]]:
    """True kind → predicted kind → count."""
    counts: dict[str, dict[str, int]] = {}
    for row in rows:
        line = counts.setdefault(row.truth, dict.fromkeys(DETECTABLE, 0))
        line[row.said] += 1
    return {kind: counts[kind] for kind in DETECTABLE if kind in counts}


def roc(rows: Iterable[Row]) -> list[tuple[float, float]]:
    """(false positives, recall), 0..1 each, at every threshold of the score, from (0, 0) to (1, 1)."""
    ordered = sorted(rows, key=lambda row: -row.score)
    positives = sum(row.positive for row in ordered)
    negatives = len(ordered) - positives
    if not positives or not negatives:
        return []
    points, hits, wrong = [(0.0, 0.0)], 0, 0
    for number, row in enumerate(ordered):
        hits, wrong = hits + row.positive, wrong + (not row.positive)
        if number + 1 == len(ordered) or ordered[number + 1].score < row.score:
            points.append((wrong / negatives, hits / positives))
    return points


def area_under(points: Sequence[tuple[float, float]]) -> float:
    """Area under a ROC curve, 0..1; 0.5 is chance."""
    return sum((right[0] - left[0]) * (right[1] + left[1]) / 2 for left, right in pairwise(points))


def size_error(true: Blocks, found: Blocks) -> float:
    """Relative, the worse of both axes."""
    return max(abs(found.width_px / true.width_px - 1), abs(found.height_px / true.height_px - 1))


def phase_error_px(true: Blocks, found: Blocks, middle: tuple[float, float]) -> float:
    """Distance of the true block edge next to `middle`, (x, y), from a found edge, the worse of both axes."""
    across = _beside(true.width_px, true.phase_x_px, found.width_px, found.phase_x_px, middle[0])
    return max(across, _beside(true.height_px, true.phase_y_px, found.height_px, found.phase_y_px, middle[1]))


def _beside(true_px: float, true_phase: float, found_px: float, found_phase: float, near: float) -> float:
    edge = true_phase + round((near - true_phase) / true_px) * true_px
    return abs((edge - found_phase + found_px / 2) % found_px - found_px / 2)


def _f1(jaccard: float) -> float:
    return 2 * jaccard / (1 + jaccard)


def _natural(text: str) -> tuple[float, str]:
    """Sort key: texts that begin with a number by that number, then words alphabetically."""
    head = re.match(r"\d+(\.\d+)?", text)
    return float(head.group()) if head else float("inf"), text
