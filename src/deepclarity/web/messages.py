"""Verdicts and refusals in plain sentences, and as the panels that show them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from html import escape

from deepclarity.errors import DamagedInputError, DeepClarityError, DeviceError, OutputError
from deepclarity.models.verdict import Kind, Verdict

log = logging.getLogger(__name__)


class RefusedError(Exception):
    """A request that is not served; its text is one sentence for the person who asked."""


@dataclass(frozen=True, slots=True)
class Message:
    """How a kind of verdict is put."""

    title: str
    sentence: str
    tone: str
    """`fault`, `fine` or `note`: the colour of its panel."""


_OF = {
    Kind.PIXELATED: Message("Pixelated", "It consists of enlarged pixels. DeepClarity can repair it.", "fault"),
    Kind.CLEAN: Message("Not pixelated", "No enlarged pixels were found in it.", "fine"),
    Kind.SOFT: Message("Soft, not pixelated", "It was enlarged smoothly. There are no blocks to undo.", "note"),
    Kind.BLOCKY: Message("Blocky, not pixelated", "What shows are the blocks of a codec, not enlarged pixels.", "note"),
    Kind.MOSAIC: Message(
        "A mosaic", "A small region was made unrecognisable, on purpose perhaps. It is left alone.", "note"
    ),
    Kind.PIXEL_ART: Message("Pixel art", "Its blocks are meant to be there. It is left alone.", "note"),
}


def message_of(kind: Kind) -> Message:
    """The words for a kind of verdict."""
    return _OF[kind]


def sentence_of(verdict: Verdict) -> str:
    """A verdict in one sentence or two."""
    said = message_of(verdict.kind)
    size = blocks_of(verdict)
    return f"{said.title}{f', in blocks of {size}' if size else ''}. {said.sentence}"


def blocks_of(verdict: Verdict) -> str:
    """`4 × 4 px`; empty where the verdict is not about blocks."""
    blocks = verdict.blocks
    if blocks is None or verdict.kind not in (Kind.PIXELATED, Kind.PIXEL_ART, Kind.MOSAIC):
        return ""
    return f"{blocks.width_px:.4g} × {blocks.height_px:.4g} px"


def verdict_panel(verdict: Verdict, facts: list[tuple[str, str]], *, notes: list[str] | None = None) -> str:
    """The verdict as a panel: the word, the sentence, the score, then `facts` as a list of terms."""
    said = message_of(verdict.kind)
    size = blocks_of(verdict)
    percent = round(100 * verdict.score)
    rows = [*([("Block size", size)] if size else []), *facts]
    terms = "".join(f"<div><dt>{escape(term)}</dt><dd>{escape(text)}</dd></div>" for term, text in rows)
    extra = "".join(f"<p class='dc-note'>{escape(note)}</p>" for note in notes or [])
    return (
        f"<section class='dc-panel dc-{said.tone}' role='status'>"
        f"<h3>{escape(said.title)}</h3><p>{escape(said.sentence)}</p>"
        f"<div class='dc-score'><span>Score</span>"
        f"<div class='dc-bar' role='img' aria-label='Score {percent} of 100; from 50 on it counts as pixelated'>"
        f"<i style='width:{percent}%'></i></div><b>{verdict.score:.2f}</b></div>"
        f"<dl class='dc-facts'>{terms}</dl>{extra}</section>"
    )


def note_panel(text: str, *, title: str = "") -> str:
    """A calm remark."""
    head = f"<h3>{escape(title)}</h3>" if title else ""
    return f"<section class='dc-panel dc-note-panel' role='status'>{head}<p>{escape(text)}</p></section>"


def refusal_panel(text: str) -> str:
    """Why something was not done."""
    return f"<section class='dc-panel dc-refusal' role='alert'><p>{escape(text)}</p></section>"


def plain(error: BaseException) -> str:
    """What a person is told of a failure: never a path, never a traceback. What it was is logged."""
    if isinstance(error, RefusedError):
        return str(error)
    log.error("a request failed: %s", error, exc_info=None if isinstance(error, DeepClarityError) else error)
    if isinstance(error, MemoryError):
        return "There was not enough memory for this. Try something smaller."
    if isinstance(error, OutputError):
        return "The result could not be written: the server's disk is full, or refuses it."
    if isinstance(error, DeviceError):
        return "The processor that computes the repair failed. Try again, or choose another tier."
    if isinstance(error, DamagedInputError):
        return "The file is damaged; only a part of it could be read."
    if isinstance(error, DeepClarityError):
        return "This file cannot be read: it is damaged, or not of a kind that is supported."
    return "Something failed on our side; it has been logged. Try again, or with another file."
