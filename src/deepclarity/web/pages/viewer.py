"""The before/after viewer: lossless pictures on top of each other, driven by `static/compare.js`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True, slots=True)
class Layer:
    """One picture of the viewer."""

    url: str
    """URL path of a picture of the viewer's size."""
    label: str
    file_name: str = ""
    """Name under which it is downloaded; empty: that of its URL."""


_ZOOMS = [("fit", "Fit"), ("1", "1:1"), ("2", "2×"), ("4", "4×"), ("8", "8×")]


def viewer(
    before: Layer,
    after: Layer,
    *,
    size: tuple[int, int],
    status: str,
    notes: Sequence[str] = (),
    other: Layer | None = None,
    link: str = "",
) -> str:
    """The viewer as HTML. `size`: (width, height) in pixels; `other`: the result of a second tier; `link`: a URL path.

    With a second tier, the slider divides the two tiers at first, and before and after on request.
    """
    width, height = size
    views = [("slider", "Slider"), ("before", "Input"), ("after", "Output"), ("difference", "Difference")]
    if other is not None:
        pair = f"{other.label} | {after.label}"
        views = [("tiers", pair), ("slider", f"Input | {after.label}"), *_single_views(after, other)]
    first = views[0][0]
    note_list = "".join(f"<p class='dc-note'>{escape(note)}</p>" for note in notes)
    extra = f"<img class='dc-other' {_source(other)} alt='Repaired by {escape(other.label)}'>" if other else ""
    return (
        f"<section class='dc-compare' data-width='{width}' data-height='{height}' data-view='{first}'>"
        f"<p class='dc-status' role='status'>{escape(status)}</p>{note_list}"
        f"<div class='dc-toolbar'>{_choice('View', 'dc-view', views)}{_choice('Zoom', 'dc-zoom', _ZOOMS)}"
        f"<span class='dc-actions'>{download_link(after, 'Download PNG')}{copy_link(link)}</span></div>"
        "<div class='dc-stage' tabindex='0' role='region' aria-label='Picture, scrollable when zoomed'>"
        f"<div class='dc-layers' style='aspect-ratio:{width}/{height}'>"
        f"<img class='dc-before' {_source(before)} alt='Before: the original picture' "
        f"onload='deepclarityCompare(this)'>{extra}"
        f"<img class='dc-after' {_source(after)} alt='After: the repaired picture'>"
        "<span class='dc-divider' aria-hidden='true'></span></div></div>"
        f"<label class='dc-slide'>{_ends(after, other)}"
        "<input type='range' min='0' max='1000' value='500' aria-label='Divider between the two pictures'>"
        f"<span class='dc-right'>{escape(after.label if other else 'After')}</span></label></section>"
    )


def download_link(layer: Layer, text: str) -> str:
    """A link that downloads a picture."""
    return f"<a class='dc-download' href='{escape(layer.url)}' download='{escape(layer.file_name)}'>{text}</a>"


def copy_link(link: str) -> str:
    """A link to a result, which is copied to the clipboard when it is clicked; empty without one."""
    if not link:
        return ""
    return f"<a class='dc-download dc-link' href='{escape(link)}' target='_blank' rel='noopener'>Copy link</a>"


def _single_views(after: Layer, other: Layer) -> list[tuple[str, str]]:
    return [("before", "Input"), ("other", other.label), ("after", after.label), ("difference", "Difference")]


def _choice(title: str, name: str, options: Sequence[tuple[str, str]]) -> str:
    """Radio buttons, the first one checked."""
    labels = "".join(
        f"<label><input type='radio' name='{name}' value='{value}'{'' if number else ' checked'}>"
        f"<span>{escape(label)}</span></label>"
        for number, (value, label) in enumerate(options)
    )
    return f"<fieldset class='dc-choice'><legend>{title}</legend>{labels}</fieldset>"


def _source(layer: Layer) -> str:
    return f"src='{escape(layer.url)}' draggable='false'"


def _ends(after: Layer, other: Layer | None) -> str:
    """What is on the left of the divider, by view."""
    if other is None:
        return "<span>Before</span>"
    return f"<span class='dc-left-other'>{escape(other.label)}</span><span class='dc-left-before'>Input</span>"
