"""What a run did, frame by frame: as JSON for programs, as one self-contained page for people."""

from __future__ import annotations

import base64
import html
import json
import math
import os
import re
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import OutputError, UsageError
from deepclarity.models.verdict import Kind
from deepclarity.pipelines.records import FrameRecord, Lane, Summary

from .text import headline, name, notes, numbers, sums

Picture = NDArray[np.uint8]
"""RGB, (height, width, 3), 0..255."""

KEEP = 6
"""Before/after pairs in a report."""
APART_S = 1.0
"""Two pairs are at least this far apart: neighbours look alike."""
MARGIN = 0.02
"""A score must be higher by this much to push out a kept pair, or a slow rise would re-encode every frame."""
LONG_SIDE_PX, THUMB_PX = 1920, 240
COLUMNS = 1200
"""Columns of the timeline; more frames than these share one, by their lowest and highest score."""
RANGES_SHOWN = 300
KINDS, LANES = list(Kind), list(Lane)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One repaired frame, as it came and as it went; RGB, uint8, (height, width, 3), both of one shape."""

    index: int
    time_s: float
    score: float
    before: Picture
    """Already enlarged (nearest neighbour) to the size of `after`."""
    after: Picture


@dataclass(frozen=True, slots=True)
class _Kept:
    """A comparison, encoded: what stays in memory."""

    index: int
    time_s: float
    score: float
    pictures: dict[str, Any]
    """`before`, `after` and `thumb` as data URLs; `focus`, where the page looks first."""


def check_ending(path: Path) -> None:
    """Raise UsageError where the ending of `path` names no form of report."""
    if path.suffix.lower() not in {".html", ".htm", ".json"}:
        raise UsageError(f"{path}: a report is written as .html or .json; give it one of these endings")


def check_report(path: Path) -> None:
    """Raise UsageError, before any work is done, where no report can be written to `path`."""
    check_ending(path)
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: no such folder for the report. Create it, or choose another place.")


class Report:
    """Collects a line a frame and the worst frames' pictures; 26 bytes a frame, six pairs of JPEG."""

    def __init__(self) -> None:
        self._index, self._time, self._score = array("q"), array("d"), array("f")
        self._kind, self._block, self._lane = array("B"), array("f"), array("B")
        self._kept: list[_Kept] = []

    def __len__(self) -> int:
        return len(self._index)

    def add(self, record: FrameRecord) -> None:
        """Remember one frame; frames come in presentation order."""
        self._index.append(record.index)
        self._time.append(record.time_s)
        self._score.append(record.score)
        self._kind.append(KINDS.index(record.kind))
        self._block.append(math.nan if record.block_px is None else record.block_px)
        self._lane.append(LANES.index(record.lane))

    def wants(self, record: FrameRecord) -> bool:
        """Whether `compare` would keep this frame: repaired, and among the worst so far."""
        return record.lane is Lane.ENHANCE and self._displaced(record.time_s, record.score) is not None

    def compare(self, comparison: Comparison) -> None:
        """Keep a pair if it is among the worst so far, in the place of a milder or closer one."""
        displaced = self._displaced(comparison.time_s, comparison.score)
        if displaced is None:
            return
        kept = [k for k in self._kept if k not in displaced]
        self._kept = sorted([*kept, _encode(comparison)], key=lambda k: k.time_s)

    def ranges(self) -> list[dict[str, Any]]:
        """The stretches of repaired frames.

        Returns
        -------
        A dict each: `first_frame`, `last_frame` (both inside), `start_s`, `end_s` (when the frame after the
        last one begins), `block_px` (median; None when no lattice was found).
        """
        repaired = np.array(self._lane, np.uint8) == LANES.index(Lane.ENHANCE)
        edges = np.flatnonzero(np.diff(np.concatenate(([False], repaired, [False])).astype(np.int8)))
        blocks = np.array(self._block, np.float32)
        found = []
        for first, behind in edges.reshape(-1, 2).tolist():
            known = blocks[first:behind][~np.isnan(blocks[first:behind])]
            found.append(
                {
                    "first_frame": self._index[first],
                    "last_frame": self._index[behind - 1],
                    "start_s": round(self._time[first], 6),
                    "end_s": round(self._time[behind] if behind < len(self) else self._end_s(), 6),
                    "block_px": round(float(np.median(known)), 3) if known.size else None,
                }
            )
        return found

    def write(self, path: Path | str, summary: Summary) -> None:
        """Write the page (`.html`, `.htm`) or the data (`.json`), as the name of `path` says."""
        check_ending(Path(path))
        if Path(path).suffix.lower() == ".json":
            self.write_json(path, summary)
        else:
            self.write_html(path, summary)

    def write_json(self, path: Path | str, summary: Summary) -> None:
        """Write `frames`, `ranges` and `summary`, a frame a line, without holding them all as text."""
        with _write_atomically(Path(path)) as out:
            out.write('{"frames": [')
            for number, row in enumerate(self._rows()):
                out.write(f"{',' if number else ''}\n{json.dumps(row)}")
            out.write(f'\n],\n"ranges": {json.dumps(self.ranges())},\n')
            out.write(f'"summary": {json.dumps(sums(summary), ensure_ascii=False)}}}\n')

    def write_html(self, path: Path | str, summary: Summary) -> None:
        """Write one page that needs nothing but itself."""
        ranges = self.ranges()
        data = {
            "timeline": self._timeline(),
            "ranges": ranges[:RANGES_SHOWN],
            "range_count": len(ranges),
            "frames": len(self),
            "stages": sorted(summary.stage_s.items(), key=lambda stage: -stage[1]),
            "numbers": numbers(summary),
            "pictures": [{"index": k.index, "time_s": k.time_s, "score": k.score, **k.pictures} for k in self._kept],
        }
        texts = {
            "NAME": html.escape(name(summary.source)),
            "HEADLINE": html.escape(headline(summary)),
            "NOTES": "".join(f"<p>{html.escape(note)}</p>" for note in notes(summary, self._length_s())),
            # "<" would end the script early in a file named </script>; "&" and ">" go for good measure
            "DATA": re.sub("[<>&]", lambda m: f"\\u{ord(m[0]):04x}", json.dumps(data)),
        }
        page = files("deepclarity.pipelines.report").joinpath("template.html").read_text("utf-8")
        with _write_atomically(Path(path)) as out:  # one pass: a marker inside a file name stays a name
            out.write(re.sub("@@([A-Z]+)@@", lambda m: texts[m[1]], page))

    def _displaced(self, time_s: float, score: float) -> list[_Kept] | None:
        """Whom a frame would push out of the kept pairs: nobody, some, or None when it does not get in."""
        near = [k for k in self._kept if abs(k.time_s - time_s) < APART_S]
        if near:
            return near if all(score > k.score + MARGIN for k in near) else None
        if len(self._kept) < KEEP:
            return []
        mildest = min(self._kept, key=lambda k: k.score)
        if score > mildest.score + MARGIN:
            return [mildest]
        # Everything equally bad: spread the pairs over the whole run, wider and wider.
        one, other = min(pairwise(self._kept), key=lambda pair: pair[1].time_s - pair[0].time_s)
        milder = one if one.score < other.score else other
        gap = min(abs(k.time_s - time_s) for k in self._kept)
        return [milder] if score >= milder.score and gap >= 2 * (other.time_s - one.time_s) else None

    def _end_s(self) -> float:
        """When the last frame's time is over: as long after it as the frame before it lasted."""
        if len(self) < 2:
            return self._time[-1] if len(self) else 0.0
        return 2 * self._time[-1] - self._time[-2]

    def _length_s(self) -> float:
        return self._end_s() - self._time[0] if len(self) else 0.0

    def _rows(self) -> Iterator[dict[str, Any]]:
        columns = zip(self._index, self._time, self._score, self._kind, self._block, self._lane, strict=True)
        for index, time_s, score, kind, block, lane in columns:
            yield {
                "index": index,
                "time_s": round(time_s, 6),
                "score": round(score, 4),
                "kind": KINDS[kind],
                "block_px": None if math.isnan(block) else round(block, 3),
                "lane": LANES[lane],
            }

    def _timeline(self) -> dict[str, list[Any]]:
        """The score over time in at most `COLUMNS` columns; a column speaks for its highest score."""
        edges = np.unique(np.linspace(0, len(self), min(len(self), COLUMNS) + 1).astype(np.int64)).tolist()
        scores, lanes = np.array(self._score, np.float32), np.array(self._lane, np.uint8)
        line: dict[str, list[Any]] = {k: [] for k in ("start", "frame", "low", "high", "kind", "lane", "fixed")}
        for first, behind in pairwise(edges):
            worst = first + int(np.argmax(scores[first:behind]))
            line["start"].append(round(self._time[first], 4))
            line["frame"].append(self._index[worst])
            line["low"].append(round(float(scores[first:behind].min()), 3))
            line["high"].append(round(float(scores[worst]), 3))
            line["kind"].append(KINDS[self._kind[worst]])
            line["lane"].append(LANES[self._lane[worst]])
            line["fixed"].append(int((lanes[first:behind] == LANES.index(Lane.ENHANCE)).any()))
        return {**line, "end": [round(self._end_s(), 4)]}


def _encode(comparison: Comparison) -> _Kept:
    pictures = {
        "focus": _focus(comparison.before, comparison.after),
        "before": _jpeg(comparison.before, LONG_SIDE_PX, 90),
        "after": _jpeg(comparison.after, LONG_SIDE_PX, 90),
        "thumb": _jpeg(comparison.after, THUMB_PX, 80),
    }
    return _Kept(comparison.index, round(comparison.time_s, 6), round(comparison.score, 4), pictures)


def _focus(before: Picture, after: Picture) -> tuple[float, float]:
    """Where the repair changed most, (x, y) in shares of the picture."""
    change = cv2.resize(cv2.absdiff(before, after), (32, 18), interpolation=cv2.INTER_AREA)
    smooth = cv2.GaussianBlur(change.sum(axis=-1, dtype=np.float32), (0, 0), 2.0)
    row, column = divmod(int(np.argmax(smooth)), 32)
    return (column + 0.5) / 32, (row + 0.5) / 18


def _jpeg(picture: Picture, long_side_px: int, quality: int) -> str:
    """`picture` as a data URL; 4:4:4, so that chroma of fine edges is not the encoder's doing."""
    height, width = picture.shape[:2]
    scale = min(1.0, long_side_px / max(height, width))
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    sampling = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
    _, data = cv2.imencode(".jpg", picture[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, quality, *sampling))
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"


@contextmanager
def _write_atomically(path: Path) -> Iterator[TextIO]:
    """A text file that appears under its name only when it is complete."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        # A file name that is not UTF-8 reaches us as lone surrogates: written as \udc.., never an error.
        with part.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as out:
            yield out
        part.replace(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(f"{path}: cannot write the report: {reason}. Choose another place") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
