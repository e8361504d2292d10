"""Text of a report: headline, notes and a table of the summary."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deepclarity.errors import hide_secrets
from deepclarity.models.verdict import Kind
from deepclarity.pipelines.records import Summary


def name(source: str) -> str:
    """Display name of a source: the file name, or the full address without passwords."""
    source = hide_secrets(source)
    return source if "://" in source else Path(source).name or "video"


def summary_values(summary: Summary) -> dict[str, Any]:
    """`summary` and its speed as a dict for JSON, without passwords in addresses."""
    values = dataclasses.asdict(summary)
    values["source"], values["output"] = hide_secrets(summary.source), hide_secrets(summary.output)
    values["elapsed_s"] = round(summary.elapsed_s, 4)
    values["stage_s"] = {stage: round(seconds, 4) for stage, seconds in summary.stage_s.items()}
    return {**values, "frames_per_s": round(summary.frames_per_s, 3)}


def numbers(summary: Summary) -> list[tuple[str, str]]:
    """The summary table as (label, value) pairs."""
    values = summary_values(summary)
    values |= {"lost": "; ".join(summary.lost), "other_videos": "; ".join(summary.other_videos)}
    values["frames_by_kind"] = ", ".join(f"{count:,} {kind}" for kind, count in summary.frames_by_kind.items())
    values["encoded_because"] = "; ".join(f"{count:,}: {why}" for why, count in summary.encoded_because.items())
    values["elapsed_s"], values["frames_per_s"] = f"{summary.elapsed_s:,.2f}", f"{summary.frames_per_s:,.1f}"
    labels = {"elapsed_s": "Time taken, s", "frames_per_s": "Frames per second", "passed": "Untouched"}
    labels |= {"frames_by_kind": "Frames by kind", "copied": "Copied byte for byte", "encoded_because": "Encoded anew"}
    labels |= {"fallback": "Only resized, repair failed", "damaged": "Damaged packets", "method": "Detector"}
    labels |= {"lost": "Left out", "other_videos": "Video tracks not repaired"}
    labels |= {"field_frames": "Frames added at field rate", "telecined": "Telecined frames"}
    labels |= {"retimed": "Timestamps moved", "backend": "Back end"}
    rows = [(labels.get(k, k.replace("_", " ").capitalize()), v) for k, v in values.items() if k != "stage_s"]
    return [(label, f"{value:,}" if isinstance(value, int) else value or "–") for label, value in rows]


def headline(summary: Summary) -> str:
    """The result of the run in one sentence."""
    total, repaired = summary.frames_out, summary.repaired
    if not total:
        return "No frames were written."
    if not repaired:
        count = f"{summary.fallback:,} of {_frames(total)}"
        failed = f"{count} should have been repaired and could only be resized"
        clean = f"Nothing was repaired: none of {_frames(total)} needed it"
        return f"{failed if summary.fallback else clean}."
    if repaired == total:
        return f"{'The only frame was' if total == 1 else f'All {_frames(total)} were'} repaired."
    others = [(summary.passed, "went through untouched"), (summary.resized, "only resized")]
    rest = ", ".join(f"{count:,} {what}" for count, what in others if count)
    verb = "was" if repaired == 1 else "were"
    return f"{repaired:,} of {_frames(total)} {verb} repaired{'; ' + rest if rest else ''}."


def deinterlacing(summary: Summary) -> Iterator[str]:
    """What was done to interlaced and telecined frames, one text each."""
    if summary.deinterlaced:
        yield f"{_frames(summary.deinterlaced)} deinterlaced (bwdif)"
    if summary.field_frames:
        added = f"{_frames(summary.field_frames)} added at field rate"
        yield f"{added}, {summary.frames_in:,} in and {summary.frames_out:,} out"
    if summary.telecined:
        yield f"{_frames(summary.telecined)} of telecined film became {summary.film_frames:,}"


def notes(summary: Summary, length_s: float) -> Iterator[str]:
    """Sentences below the headline: speed and problems."""
    if summary.elapsed_s:
        factor = length_s / summary.elapsed_s
        digits = 0 if factor >= 10 else 1 if factor >= 1 else 2
        real_time = f", {factor:,.{digits}f}× real time" if length_s else ""
        engine = " on ".join(part for part in (summary.model, summary.backend) if part)
        speed = f"{summary.frames_per_s:,.1f} frames per second{real_time}"
        yield f"Took {summary.elapsed_s:,.1f} s: {speed}{'; ' + engine if engine else ''}."
    if summary.copied:
        yield f"{summary.copied:,} of {_frames(summary.frames_out)} copied untouched, byte for byte."
    blocky, damaged = (summary.frames_by_kind.get(kind, 0) for kind in (Kind.BLOCKY, Kind.DAMAGED))
    if blocky:
        yield f"Blocky, coded with too few bits: {_frames(blocky)}."
    if damaged:
        yield f"Damaged, with losses that the decoder filled in: {_frames(damaged)}, left as they are."
    yield from (f"{text}." for text in deinterlacing(summary))
    if summary.frames_out and not (summary.repaired or summary.fallback or blocky or damaged):
        yield "If you see blocks, run again with --all: it repairs every frame."
    yield from _problems(summary)


def _problems(summary: Summary) -> Iterator[str]:
    if summary.fallback and summary.repaired:
        yield f"{_frames(summary.fallback)} should have been repaired and could only be resized."
    if summary.damaged:
        yield f"The input is damaged: {summary.damaged:,} packets or frames could not be read."
    for other in summary.other_videos:
        yield f"Not repaired: {other}. Choose it with --track."
    for lost in summary.lost:
        yield f"Left out: {lost}."
    if summary.dropped:
        yield f"{_frames(summary.dropped)} dropped to keep up."


def _frames(count: int) -> str:
    return f"{count:,} frame{'' if count == 1 else 's'}"
