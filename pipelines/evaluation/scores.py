"""Evaluation rows: one per picture and method, and their means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields

from deepclarity.models.metrics import Levels, Lpips, psnr
from deepclarity.models.verdict import Bytes

Notify = Callable[[str], None]
"""Called with a short message whenever a new part of the work starts."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Measures of one picture or clip; None if not measured."""

    psnr_y: float | None = None
    """PSNR in dB, on luma, without a border of 4 pixels; higher is better."""
    ssim_y: float | None = None
    """SSIM, at most 1, on luma, without the same border; higher is better."""
    lpips: float | None = None
    """LPIPS v0.1 with AlexNet, on RGB; lower is better."""
    flicker: float | None = None
    """Flicker: mean change of still pixels between frames, in levels of 0..255; lower is better."""
    gain_y: float | None = None
    """Luma gain in dB over the input, mean of the frames; higher is better."""
    worst_gain_y: float | None = None
    """Luma gain of the worst frame in dB; a negative one is harm."""
    tiles_lost: float | None = None
    """Percentage of 64x64 tiles that lose more than 0.3 dB; lower is better."""
    outside_gain_y: float | None = None
    """Luma gain of the worst frame in dB, outside the part in blocks; a negative one is harm."""
    outside_tiles_lost: float | None = None
    """As `tiles_lost`, outside the part in blocks."""
    inside_gain_y: float | None = None
    """Luma gain in dB inside the part in blocks; higher is better."""
    entire_gain_y: float | None = None
    """The same in the same place if the entire frame is in blocks."""


MEASURES = tuple(field.name for field in fields(Scores))


@dataclass(frozen=True, slots=True)
class Row:
    """One picture or clip, repaired by one method."""

    protocol: str
    """`standard`, `pictures`, `video` or `harm`."""
    group: str
    """Group for means: a test set, or a degradation such as `×4 crf 28`."""
    item: str
    """The picture or clip."""
    method: str
    """A tier, `bicubic`, `as is`, or `pristine`."""
    scores: Scores
    found: bool | None = None
    """Whether the detector found the blocks of a pixelated picture."""


def perceived(found: Bytes, truth: Bytes, lpips: Lpips | None) -> float | None:
    """LPIPS of two uint8 (height, width, 3) RGB pictures; None without its weights."""
    return lpips(found, truth) if lpips else None


def mean_psnr(found: Sequence[Levels], truth: Sequence[Levels]) -> float:
    """The mean over the frames, in dB."""
    values = [psnr(one, other) for one, other in zip(found, truth, strict=True)]
    return sum(values) / len(values)


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of the known values; None if there are none."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def means(rows: Iterable[Row], measure: str) -> dict[str, dict[str, float]]:
    """Group → method → the mean of `measure` over the group's rows; missing measures are skipped."""
    cells: dict[str, dict[str, list[float | None]]] = {}
    for row in rows:
        cells.setdefault(row.group, {}).setdefault(row.method, []).append(getattr(row.scores, measure))
    averaged = {
        group: {method: value for method, values in methods.items() if (value := mean(values)) is not None}
        for group, methods in cells.items()
    }
    return {group: methods for group, methods in averaged.items() if methods}


def missed(rows: Iterable[Row]) -> dict[str, tuple[int, int]]:
    """Group → number of pixelated pictures missed by the detector, and their total."""
    seen: dict[str, dict[str, bool]] = {}
    for row in rows:
        if row.found is not None:
            seen.setdefault(row.group, {})[row.item] = row.found
    return {group: (sum(not found for found in items.values()), len(items)) for group, items in seen.items()}
