"""Texts of verdicts and errors, and the HTML cards that show them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from html import escape

from deepclarity.errors import DamagedInputError, DeepClarityError, DeviceError, OutputError, WeightsError
from deepclarity.models.verdict import Kind, Verdict

from .errors import RefusedError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Message:
    """Title and explanation of a kind of verdict."""

    title: str
    sentence: str
    tone: str
    """`fault`, `fine` or `note`: the colour of its card."""


_MESSAGES = {
    Kind.PIXELATED: Message("Pixelated", "The picture is made of enlarged pixels. DeepClarity can repair it.", "fault"),
    Kind.CLEAN: Message("Not pixelated", "No enlarged pixels were found.", "fine"),
    Kind.SOFT: Message("Soft, not pixelated", "The picture was enlarged smoothly. It has no blocks to repair.", "note"),
    Kind.BLOCKY: Message("Blocky, not pixelated", "The blocks come from a codec, not from enlarged pixels.", "note"),
    Kind.DAMAGED: Message("Damaged", "Parts were lost, and the decoder filled them in. It is left as it is.", "note"),
    Kind.MOSAIC: Message(
        "A mosaic", "A small region was made unrecognisable, perhaps on purpose. It is not changed.", "note"
    ),
    Kind.PIXEL_ART: Message("Pixel art", "The blocks are intended. They are not changed.", "note"),
}


def message_for(kind: Kind) -> Message:
    """The message for a kind of verdict."""
    return _MESSAGES[kind]


def describe_verdict(verdict: Verdict) -> str:
    """A verdict in one or two sentences."""
    message = message_for(verdict.kind)
    size = format_block_size(verdict)
    return f"{message.title}{f', in blocks of {size}' if size else ''}. {message.sentence}"


def format_block_size(verdict: Verdict) -> str:
    """The block size, such as `4 × 4 px`; empty if the verdict is not about blocks."""
    blocks = verdict.blocks
    if blocks is None or verdict.kind not in (Kind.PIXELATED, Kind.PIXEL_ART, Kind.MOSAIC):
        return ""
    return f"{blocks.width_px:.4g} × {blocks.height_px:.4g} px"


def verdict_card(verdict: Verdict, facts: list[tuple[str, str]], *, notes: list[str] | None = None) -> str:
    """A card with the verdict's title, sentence and score, the `facts` (term, value) as a list, and `notes`."""
    message = message_for(verdict.kind)
    size = format_block_size(verdict)
    percent = round(100 * verdict.score)
    rows = [*([("Block size", size)] if size else []), *facts]
    terms = "".join(f"<div><dt>{escape(term)}</dt><dd>{escape(text)}</dd></div>" for term, text in rows)
    extra = "".join(f"<p class='dc-note'>{escape(note)}</p>" for note in notes or [])
    return (
        f"<section class='dc-card dc-{message.tone}' role='status'>"
        f"<h3>{escape(message.title)}</h3><p>{escape(message.sentence)}</p>"
        f"<div class='dc-score'><span>Score</span>"
        f"<div class='dc-bar' role='img' aria-label='Score {percent} of 100; pixelated from 50 on'>"
        f"<i style='width:{percent}%'></i></div><b>{verdict.score:.2f}</b></div>"
        f"<dl class='dc-facts'>{terms}</dl>{extra}</section>"
    )


def note_card(text: str, *, title: str = "") -> str:
    """A card with a neutral note."""
    head = f"<h3>{escape(title)}</h3>" if title else ""
    return f"<section class='dc-card dc-note-card' role='status'>{head}<p>{escape(text)}</p></section>"


def refusal_card(text: str) -> str:
    """A card with an error message."""
    return f"<section class='dc-card dc-refusal' role='alert'><p>{escape(text)}</p></section>"


def error_message(error: BaseException) -> str:
    """The user's message for an error, without paths or a traceback; the error itself is logged."""
    if isinstance(error, RefusedError):
        return str(error)
    log.error("a request failed: %s", error, exc_info=None if isinstance(error, DeepClarityError) else error)
    if isinstance(error, MemoryError):
        return "The server does not have enough memory for this file. Try a smaller one."
    if isinstance(error, OutputError):
        return "The result could not be saved: the server's disk is full or not writable."
    if isinstance(error, DeviceError):
        return "The server's compute device failed. Try again, or choose another tier."
    if isinstance(error, WeightsError):
        return "The server cannot load this model. Choose another tier."
    if isinstance(error, DamagedInputError):
        return "The file is damaged: only a part of it could be read."
    if isinstance(error, DeepClarityError):
        return "This file cannot be read: it is damaged, or its format is not supported."
    return "An internal error occurred and was logged. Try again, or try another file."
