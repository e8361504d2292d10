"""Text subtitles from one codec to another, packet by packet: SubRip, WebVTT, MPEG-4 timed text and ASS.

Text with its bold, italic and underlined parts is kept; fonts, colours and positions are not.
MPEG-4 timed text: ETSI TS 126 245 (3GPP). WebVTT: W3C. SubRip has no standard; its tags are HTML's.
"""

from __future__ import annotations

import html
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

TEXT_CODECS = frozenset({"subrip", "webvtt", "mov_text", "ass"})
_NAMES = {"srt": "subrip", "text": "subrip", "ssa": "ass"}
_OVERRIDE = re.compile(r"\{\\[^}]*\}")
"""Positions and the like in the notation of ASS, which SubRip files have too: `{\\an8}`."""
_TAG = re.compile(r"<(/?)([a-zA-Z]*)[^<>]*>")
_ASS_TAG = re.compile(r"\{([^{}]*)\}")
_ASS_SWITCH = re.compile(r"\\([biu])(\d+)(?!\w)")
_STYLES = {"b": "bold", "i": "italic", "u": "underline"}
_FACES = (("b", 1), ("i", 2), ("u", 4))
_RECORD = struct.Struct(">HHHBB4s")
"""Of a style box: first and last character, font, face, size, colour."""
_FONT_SIZE, _WHITE = 16, b"\xff\xff\xff\xff"

ASS_HEADER = (
    b"[Script Info]\r\nScriptType: v4.00+\r\nPlayResX: 384\r\nPlayResY: 288\r\n\r\n[V4+ Styles]\r\n"
    b"Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, "
    b"Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, "
    b"MarginV, Encoding\r\n"
    b"Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1\r\n\r\n[Events]\r\n"
    b"Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\r\n"
)
"""The styles with which FFmpeg opens a text encoder; nothing else of it is used."""


@dataclass(frozen=True, slots=True)
class Run:
    """A piece of a subtitle in one style."""

    text: str
    bold: bool = False
    italic: bool = False
    underline: bool = False


Cue = tuple[Run, ...]


def codec_name(name: str) -> str:
    """The name of a subtitle codec in `TEXT_CODECS`, from one of FFmpeg's; other names as they are."""
    return _NAMES.get(name, name)


def convert(packet: bytes, source: str, target: str) -> bytes | None:
    """The packet of a text track of codec `source` as one of codec `target`, both of `TEXT_CODECS`; None if empty."""
    cue = _READERS[source](packet)
    return _WRITERS[target](cue) if any(run.text.strip() for run in cue) else None


def _from_tags(text: str) -> Cue:
    """Text with tags such as `<i>`; tags of other kinds are left out."""
    runs, style, at = [], Run(""), 0
    for tag in _TAG.finditer(text):
        runs.append(replace(style, text=text[at : tag.start()]))
        if name := _STYLES.get(tag[2].lower()):
            style = _switched(style, name, on=not tag[1])
        at = tag.end()
    runs.append(replace(style, text=text[at:]))
    return tuple(run for run in runs if run.text)


def _switched(style: Run, name: str, *, on: bool) -> Run:
    return Run(
        style.text,
        bold=on if name == "bold" else style.bold,
        italic=on if name == "italic" else style.italic,
        underline=on if name == "underline" else style.underline,
    )


def _to_tags(cue: Cue, escape: Callable[[str], str]) -> str:
    parts = []
    for run in cue:
        tags = [tag for tag, name in _STYLES.items() if getattr(run, name)]
        opened, closed = "".join(f"<{tag}>" for tag in tags), "".join(f"</{tag}>" for tag in reversed(tags))
        parts.append(f"{opened}{escape(run.text)}{closed}")
    return "".join(parts)


def _decoded(packet: bytes) -> str:
    return packet.decode("utf-8", "replace").replace("\r\n", "\n").strip("\n\0")


def _from_subrip(packet: bytes) -> Cue:
    return _from_tags(_OVERRIDE.sub("", _decoded(packet)))


def _to_subrip(cue: Cue) -> bytes:
    return _to_tags(cue, lambda text: text).encode()


def _from_webvtt(packet: bytes) -> Cue:
    return tuple(replace(run, text=html.unescape(run.text)) for run in _from_tags(_decoded(packet)))


def _to_webvtt(cue: Cue) -> bytes:
    text = _to_tags(cue, lambda text: html.escape(text, quote=False))
    return re.sub(r"\n{2,}", "\n", text).replace("--&gt;", "→").encode()  # an empty line would end the cue


def _from_mov_text(packet: bytes) -> Cue:
    if len(packet) < 2:
        return ()
    (length,) = struct.unpack_from(">H", packet)
    raw, boxes = packet[2 : 2 + length], packet[2 + length :]
    utf16 = raw[:2] in (b"\xfe\xff", b"\xff\xfe")
    text = raw.decode("utf-16" if utf16 else "utf-8", "replace").replace("\r\n", "\n")
    runs, at = [], 0
    for first, last, face in _styles(boxes):
        first, last = max(at, first), min(len(text), last)  # noqa: PLW2901
        if first < last:
            bold, italic, underline = (bool(face & flag) for _, flag in _FACES)
            runs += [Run(text[at:first]), Run(text[first:last], bold, italic, underline)]
            at = last
    runs.append(Run(text[at:]))
    return tuple(run for run in runs if run.text)


def _styles(boxes: bytes) -> list[tuple[int, int, int]]:
    """(first, last, face) of the records in the `styl` box of a sample; none if it is damaged."""
    while len(boxes) >= 8:
        size, kind = struct.unpack_from(">I4s", boxes)
        if kind == b"styl" and 10 <= size <= len(boxes):
            (count,) = struct.unpack_from(">H", boxes, 8)
            count = min(count, (size - 10) // _RECORD.size)
            found = [_RECORD.unpack_from(boxes, 10 + number * _RECORD.size) for number in range(count)]
            return sorted((record[0], record[1], record[3]) for record in found)
        if size < 8:
            break
        boxes = boxes[size:]
    return []


def _to_mov_text(cue: Cue) -> bytes:
    records, at = b"", 0
    for run in cue:
        face = sum(flag for tag, flag in _FACES if getattr(run, _STYLES[tag]))
        if face:
            records += _RECORD.pack(at, at + len(run.text), 1, face, _FONT_SIZE, _WHITE)
        at += len(run.text)
    text = "".join(run.text for run in cue).encode()[:0xFFFF]
    sample = struct.pack(">H", len(text)) + text
    if records:
        sample += struct.pack(">I4sH", 10 + len(records), b"styl", len(records) // _RECORD.size) + records
    return sample


def _from_ass(packet: bytes) -> Cue:
    """A packet as Matroska stores it: eight fields, then the text."""
    text = _decoded(packet).split(",", 8)[-1]
    text = text.replace(r"\N", "\n").replace(r"\n", "\n").replace(r"\h", " ")
    runs, style, at = [], Run(""), 0
    for tag in _ASS_TAG.finditer(text):
        runs.append(replace(style, text=text[at : tag.start()]))
        for name, value in _ASS_SWITCH.findall(tag[1]):
            style = _switched(style, _STYLES[name], on=value != "0")
        at = tag.end()
    runs.append(replace(style, text=text[at:]))
    return tuple(run for run in runs if run.text)


_READERS: Mapping[str, Callable[[bytes], Cue]] = {
    "subrip": _from_subrip,
    "webvtt": _from_webvtt,
    "mov_text": _from_mov_text,
    "ass": _from_ass,
}
_WRITERS: Mapping[str, Callable[[Cue], bytes]] = {
    "subrip": _to_subrip,
    "webvtt": _to_webvtt,
    "mov_text": _to_mov_text,
}
TARGETS = {"matroska": ("subrip", "webvtt"), "webm": ("webvtt",), "mp4": ("mov_text",), "mov": ("mov_text",)}
"""By muxer, the text codecs it can hold, the best first."""
