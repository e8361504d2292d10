"""The words of a report: what happened, in sentences and in a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deepclarity.errors import hide_secrets
from deepclarity.pipelines.records import Summary


def name(source: str) -> str:
    """What people call the source: the file's name, or the whole address with its secrets cut."""
    source = hide_secrets(source)
    return source if "://" in source else Path(source).name or "video"


def sums(summary: Summary) -> dict[str, Any]:
    """`summary` and its speed as a dict for JSON, secrets cut out of addresses."""
    known = dataclasses.asdict(summary)
    known["source"], known["output"] = hide_secrets(summary.source), hide_secrets(summary.output)
    known["elapsed_s"] = round(summary.elapsed_s, 4)
    known["stage_s"] = {stage: round(seconds, 4) for stage, seconds in summary.stage_s.items()}
    return {**known, "frames_per_s": round(summary.frames_per_s, 3)}


def numbers(summary: Summary) -> list[tuple[str, str]]:
    """The table: labels and values."""
    known = sums(summary)
    known["elapsed_s"], known["frames_per_s"] = f"{summary.elapsed_s:,.2f}", f"{summary.frames_per_s:,.1f}"
    labels = {"elapsed_s": "Time taken, s", "frames_per_s": "Frames per second", "passed": "Untouched"}
    labels |= {"fallback": "Only resized, repair failed", "damaged": "Damaged packets", "method": "Detector"}
    labels |= {"retimed": "Timestamps moved", "backend": "Back end"}
    rows = [(labels.get(k, k.replace("_", " ").capitalize()), v) for k, v in known.items() if k != "stage_s"]
    return [(label, f"{value:,}" if isinstance(value, int) else value or "–") for label, value in rows]


def headline(summary: Summary) -> str:
    """What happened, in one sentence."""
    total, repaired = summary.frames_out, summary.repaired
    if not total:
        return "No frame came through."
    if not repaired:
        few = f"{summary.fallback:,} of {_frames(total)}"
        failed = f"{few} should have been repaired and could only be resized"
        calm = f"Nothing was repaired: none of {_frames(total)} was pixelated"
        return f"{failed if summary.fallback else calm}."
    if repaired == total:
        return f"{'The only frame was' if total == 1 else f'All {_frames(total)} were'} repaired."
    others = [(summary.passed, "went through untouched"), (summary.resized, "only resized")]
    rest = ", ".join(f"{count:,} {what}" for count, what in others if count)
    verb = "was" if repaired == 1 else "were"
    return f"{repaired:,} of {_frames(total)} {verb} pixelated and repaired{'; ' + rest if rest else ''}."


def notes(summary: Summary, length_s: float) -> Iterator[str]:
    """Sentences under the headline: how fast, and what did not go as it should."""
    if summary.elapsed_s:
        pace = length_s / summary.elapsed_s
        paced = f", {pace:,.{0 if pace >= 10 else 1 if pace >= 1 else 2}f}× real time" if length_s else ""
        made = " on ".join(part for part in (summary.model, summary.backend) if part)
        speed = f"{summary.frames_per_s:,.1f} frames per second{paced}"
        yield f"Took {summary.elapsed_s:,.1f} s: {speed}{'; ' + made if made else ''}."
    if summary.frames_out and not summary.repaired and not summary.fallback:
        yield "If it looks pixelated to you, run again with --all: it repairs every frame."
    if summary.fallback and summary.repaired:
        yield f"{_frames(summary.fallback)} should have been repaired and could only be resized."
    if summary.damaged:
        yield f"The input is damaged: {summary.damaged:,} packets or frames could not be read."
    if summary.dropped:
        yield f"{_frames(summary.dropped)} dropped to keep up."


def _frames(count: int) -> str:
    return f"{count:,} frame{'' if count == 1 else 's'}"
