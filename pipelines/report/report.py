"""Report of a run: every frame as JSON, or a self-contained HTML page with a timeline and before/after pictures."""

from __future__ import annotations

import html
import json
import math
import os
import re
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from deepclarity.errors import OutputError, UsageError
from deepclarity.models.verdict import Kind
from deepclarity.pipelines.records import FrameRecord, Lane, Summary

from .pictures import Comparison, EncodedComparison, encode_comparison
from .stretches import FrameColumns, Stretch, Treatment, find_stretches
from .text import headline, name, notes, numbers, summary_values

MAX_COMPARISONS = 6
"""Number of before/after pairs in a report."""
MIN_GAP_S = 1.0
"""Minimum time between two pairs: neighbouring frames are nearly identical."""
MIN_SCORE_GAIN = 0.02
"""Minimum score difference to replace a kept pair; otherwise slowly growing scores would re-encode every frame."""
TIMELINE_COLUMNS = 1200
"""Columns of the timeline; if there are more frames, a column shows its lowest and highest score."""
TIMELINE_VALUES = ("start", "frame", "low", "high", "kind", "lane", "fixed", "copied", "left")
MAX_RANGES_SHOWN = 300
KINDS, LANES = list(Kind), list(Lane)
_LEFT = (Kind.DAMAGED, Kind.BLOCKY)
"""Kinds of damage that are shown in the timeline though they are not repaired."""


def check_suffix(path: Path) -> None:
    """Raise UsageError if the suffix of `path` is not that of a report."""
    if path.suffix.lower() not in {".html", ".htm", ".json"}:
        raise UsageError(f"{path}: unknown report format. Use a name that ends in .html or .json.")


def check_report(path: Path) -> None:
    """Raise UsageError if no report can be written to `path`; called before any work is done."""
    check_suffix(path)
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: the folder for the report does not exist. Create it, or choose another path.")


class Report:
    """Collects the records of all frames and pictures of the worst; uses 32 bytes per frame and six pairs of JPEGs."""

    def __init__(self) -> None:
        self._index, self._time, self._score = array("q"), array("d"), array("f")
        self._kind, self._block, self._lane = array("B"), array("f"), array("B")
        self._severity, self._copied = array("f"), array("B")
        self._steady, self._reason = array("B"), array("B")
        self._reasons = [""]
        self._comparisons: list[EncodedComparison] = []

    def __len__(self) -> int:
        return len(self._index)

    def add(self, record: FrameRecord) -> None:
        """Add the record of one frame, in presentation order."""
        self._index.append(record.index)
        self._time.append(record.time_s)
        self._score.append(record.score)
        self._kind.append(KINDS.index(record.kind))
        self._block.append(math.nan if record.block_px is None else record.block_px)
        self._lane.append(LANES.index(record.lane))
        self._severity.append(math.nan if record.severity is None else record.severity)
        self._copied.append(0)
        self._steady.append(KINDS.index(record.steady_kind or record.kind))
        self._reason.append(0)

    def mark_copied(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Mark frames as copied from the source; `ranges`: first and last index, in order, of each stretch."""
        for first, last in ranges:
            self._copied[first : last + 1] = array("B", [1]) * (last + 1 - first)

    def mark_encoded(self, ranges: Iterable[tuple[int, int, str]]) -> None:
        """Mark frames as encoded anew; `ranges`: first and last index of each stretch, and why it was not copied."""
        for first, last, reason in ranges:
            if reason not in self._reasons and len(self._reasons) < 255:
                self._reasons.append(reason)
            number = self._reasons.index(reason) if reason in self._reasons else 0
            end = min(last + 1, len(self))
            self._reason[first:end] = array("B", [number]) * (end - first)

    def stretches(self) -> list[Stretch]:
        """What was done to which frames, and why: consecutive frames of one treatment, kind and reason."""
        order = list(Treatment)
        by_lane = {Lane.PASS: Treatment.PASSED, Lane.RESIZE: Treatment.RESIZED, Lane.ENHANCE: Treatment.REPAIRED}
        lanes = np.array([order.index(by_lane[lane]) for lane in LANES], np.uint8)[np.array(self._lane, np.uint8)]
        copied = np.array(self._copied, bool)
        columns = FrameColumns(
            index=np.array(self._index, np.int64),
            time_s=np.array(self._time, np.float64),
            treatment=np.where(copied, order.index(Treatment.COPIED), lanes).astype(np.uint8),
            kind=np.array(self._steady, np.uint8),
            reason=np.where(copied, 0, np.array(self._reason, np.uint8)).astype(np.uint8),
            block_px=np.array(self._block, np.float32),
        )
        return find_stretches(columns, reasons=self._reasons, end_s=self._end_s())

    def would_keep(self, record: FrameRecord) -> bool:
        """Whether `add_comparison` would keep this frame: repaired, and among the worst so far."""
        return record.lane is Lane.ENHANCE and self._replaced_by(record.time_s, record.score) is not None

    def add_comparison(self, comparison: Comparison) -> None:
        """Keep a pair if it is among the worst so far; it replaces a milder or neighbouring one."""
        replaced = self._replaced_by(comparison.time_s, comparison.score)
        if replaced is None:
            return
        kept = [k for k in self._comparisons if k not in replaced]
        self._comparisons = sorted([*kept, encode_comparison(comparison)], key=lambda k: k.time_s)

    def ranges(self) -> list[dict[str, Any]]:
        """The ranges of consecutive repaired frames.

        Returns
        -------
        A dict for each range: `first_frame`, `last_frame` (inclusive), `start_s`, `end_s` (start of the frame after
        the last one), `block_px` (median; None if no lattice was found).
        """
        repaired = np.array(self._lane, np.uint8) == LANES.index(Lane.ENHANCE)
        edges = np.flatnonzero(np.diff(np.concatenate(([False], repaired, [False])).astype(np.int8)))
        blocks = np.array(self._block, np.float32)
        ranges = []
        for first, end in edges.reshape(-1, 2).tolist():
            known_blocks = blocks[first:end][~np.isnan(blocks[first:end])]
            ranges.append(
                {
                    "first_frame": self._index[first],
                    "last_frame": self._index[end - 1],
                    "start_s": round(self._time[first], 6),
                    "end_s": round(self._time[end] if end < len(self) else self._end_s(), 6),
                    "block_px": round(float(np.median(known_blocks)), 3) if known_blocks.size else None,
                }
            )
        return ranges

    def write(self, path: Path | str, summary: Summary) -> None:
        """Write an HTML page or JSON, by the suffix of `path`.

        Raises UsageError for any other suffix, OutputError if the file cannot be written.
        """
        check_suffix(Path(path))
        if Path(path).suffix.lower() == ".json":
            self.write_json(path, summary)
        else:
            self.write_html(path, summary)

    def write_json(self, path: Path | str, summary: Summary) -> None:
        """Write `frames`, `ranges` and `summary`, one line per frame; streams, to use little memory."""
        with _write_atomically(Path(path)) as out:
            out.write('{"frames": [')
            for number, row in enumerate(self._rows()):
                out.write(f"{',' if number else ''}\n{json.dumps(row)}")
            out.write(f'\n],\n"ranges": {json.dumps(self.ranges())},\n')
            out.write(f'"summary": {json.dumps(summary_values(summary), ensure_ascii=False)}}}\n')

    def write_html(self, path: Path | str, summary: Summary) -> None:
        """Write one self-contained page: style, script, data and pictures are inlined."""
        ranges = self.ranges()
        data = {
            "timeline": self._timeline(),
            "ranges": ranges[:MAX_RANGES_SHOWN],
            "range_count": len(ranges),
            "frames": len(self),
            "stages": sorted(summary.stage_s.items(), key=lambda stage: -stage[1]),
            "numbers": numbers(summary),
            "pictures": [
                {"index": k.index, "time_s": k.time_s, "score": k.score, **k.pictures} for k in self._comparisons
            ],
        }
        texts = {
            "NAME": html.escape(name(summary.source)),
            "HEADLINE": html.escape(headline(summary)),
            "NOTES": "".join(f"<p>{html.escape(note)}</p>" for note in notes(summary, self._length_s())),
            # "<" would end the script in a file named </script>; "&" and ">" are escaped to be safe
            "DATA": re.sub("[<>&]", lambda m: f"\\u{ord(m[0]):04x}", json.dumps(data)),
        }
        page, style, script = (
            files("deepclarity.pipelines.report").joinpath(f"template.{suffix}").read_text("utf-8")
            for suffix in ("html", "css", "js")
        )
        texts |= {"STYLE": style, "SCRIPT": script}
        with _write_atomically(Path(path)) as out:  # one pass, so that a placeholder inside a file name is not replaced
            out.write(re.sub("@@([A-Z]+)@@", lambda m: texts[m[1]], page))

    def _replaced_by(self, time_s: float, score: float) -> list[EncodedComparison] | None:
        """The kept pairs that a frame would replace: none (an empty list) or some; None if it would not be kept."""
        near = [k for k in self._comparisons if abs(k.time_s - time_s) < MIN_GAP_S]
        if near:
            return near if all(score > k.score + MIN_SCORE_GAIN for k in near) else None
        if len(self._comparisons) < MAX_COMPARISONS:
            return []
        mildest = min(self._comparisons, key=lambda k: k.score)
        if score > mildest.score + MIN_SCORE_GAIN:
            return [mildest]
        # All scores are equally bad: spread the pairs over the run, further and further apart.
        first, second = min(pairwise(self._comparisons), key=lambda pair: pair[1].time_s - pair[0].time_s)
        milder = first if first.score < second.score else second
        gap = min(abs(k.time_s - time_s) for k in self._comparisons)
        return [milder] if score >= milder.score and gap >= 2 * (second.time_s - first.time_s) else None

    def _end_s(self) -> float:
        """End of the last frame, which is assumed to last as long as the one before it."""
        if len(self) < 2:
            return self._time[-1] if len(self) else 0.0
        return 2 * self._time[-1] - self._time[-2]

    def _length_s(self) -> float:
        return self._end_s() - self._time[0] if len(self) else 0.0

    def _rows(self) -> Iterator[dict[str, Any]]:
        verdicts = zip(self._score, self._kind, self._block, self._severity, strict=True)
        columns = zip(self._index, self._time, verdicts, self._lane, self._copied, strict=True)
        for index, time_s, (score, kind, block, severity), lane, copied in columns:
            yield {
                "index": index,
                "time_s": round(time_s, 6),
                "score": round(score, 4),
                "kind": KINDS[kind],
                "block_px": None if math.isnan(block) else round(block, 3),
                "lane": LANES[lane],
                "severity": None if math.isnan(severity) else round(severity, 4),
                "copied": bool(copied),
            }

    def _timeline(self) -> dict[str, list[Any]]:
        """The score over time in at most `TIMELINE_COLUMNS` columns; other values are those of the highest score."""
        edges = np.unique(np.linspace(0, len(self), min(len(self), TIMELINE_COLUMNS) + 1).astype(np.int64)).tolist()
        scores, lanes = np.array(self._score, np.float32), np.array(self._lane, np.uint8)
        line: dict[str, list[Any]] = {k: [] for k in TIMELINE_VALUES}
        for first, end in pairwise(edges):
            worst = first + int(np.argmax(scores[first:end]))
            line["start"].append(round(self._time[first], 4))
            line["frame"].append(self._index[worst])
            line["low"].append(round(float(scores[first:end].min()), 3))
            line["high"].append(round(float(scores[worst]), 3))
            line["kind"].append(KINDS[self._kind[worst]])
            line["lane"].append(LANES[self._lane[worst]])
            line["fixed"].append(int((lanes[first:end] == LANES.index(Lane.ENHANCE)).any()))
            line["copied"].append(int(all(self._copied[first:end])))
            line["left"].append(next((kind for kind in _LEFT if KINDS.index(kind) in self._kind[first:end]), ""))
        return {**line, "end": [round(self._end_s(), 4)]}


@contextmanager
def _write_atomically(path: Path) -> Iterator[TextIO]:
    """Open a text file that appears under its name only when it is complete."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        # A file name that is not UTF-8 contains lone surrogates: written as \udc.., never an error.
        with partial.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as out:
            yield out
        partial.replace(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(f"{path}: cannot write the report: {reason}. Choose another path.") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
