"""The tab that repairs a picture, and lets people look closely at what was done."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import gradio as gr

from deepclarity.web.examples import CLICKED, PICTURES, Examples, buttons_of
from deepclarity.web.inference import Inference, Made
from deepclarity.web.messages import blocks_of, message_of, note_panel, plain, refusal_panel
from deepclarity.web.model_cache import tiers

from .components import chosen, html, when
from .detect import picture_input

DEFAULT_TIER = "srgan"
_ABOUT = {
    "srgan": "srgan · best-looking",
    "srgan-fidelity": "srgan-fidelity · nothing invented",
    "srgan-lite": "srgan-lite · quick, draws texture",
    "srgan-lite-fidelity": "srgan-lite-fidelity · quick, nothing invented",
    "turbo": "turbo · quickest network",
    "lanczos": "lanczos · interpolation only",
}
_EMPTY = note_panel("Choose a pixelated picture and press Repair. Its size stays as it is.")


def tier_choices() -> list[tuple[str, str]]:
    """The tiers, the best first, each with what it is good for."""
    rank = list(_ABOUT)
    known = sorted(tiers(), key=lambda name: rank.index(name) if name in rank else len(rank))
    return [(_ABOUT.get(name, name), name) for name in known]


@dataclass(frozen=True, slots=True)
class _Correct:
    """What the tab's buttons do."""

    inference: Inference
    examples: Examples

    def correct(self, payload: object, tier: object, *, force: bool = False) -> tuple[str, dict[str, object]]:
        """The result, and whether "Repair anyway" is offered."""
        try:
            made = self.inference.correct(payload, tier, force=force)
        except Exception as error:  # every failure is told in words
            return refusal_panel(plain(error)), gr.update(visible=False)
        if made.repaired:
            return viewer(self.inference, made), gr.update(visible=False)
        said = message_of(made.found.verdict.kind)
        return note_panel(f"{said.sentence} So nothing was changed.", title=said.title), gr.update(visible=True)

    def insist(self, payload: object, tier: object) -> tuple[str, dict[str, object]]:
        return self.correct(payload, tier, force=True)

    async def choose(self, event: gr.EventData) -> str:
        return await chosen(self.examples, event)

    def clear(self) -> tuple[str, dict[str, object]]:
        return _EMPTY, gr.update(visible=False)


def correct_tab(inference: Inference, examples: Examples, *, tier: str) -> None:
    """Build the tab inside the current Blocks."""
    does = _Correct(inference, examples)
    html("<p class='dc-lead'>A pixelated picture in, the same picture repaired out.</p>")
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=300):
            picture = picture_input("Picture", elem_id="correct-picture")
            choice = gr.Dropdown(tier_choices(), value=tier, label="Tier", elem_id="correct-tier", filterable=False)
            go = gr.Button("Repair", variant="primary", elem_id="correct-go")
            tries = html(buttons_of(PICTURES), js_on_load=CLICKED, elem_id="correct-examples")
        with gr.Column(scale=7, min_width=300):
            result = html(_EMPTY, elem_id="correct-result")
            anyway = gr.Button("Repair anyway", visible=False, elem_id="correct-anyway")
    asked, shown = [picture, choice], [result, anyway]
    chosen = when(tries.click, does.choose, None, [picture])
    for event, work in ((go.click, does.correct), (anyway.click, does.insist), (chosen.then, does.correct)):
        when(event, work, asked, shown, group="enhance", progress="minimal")
    for event in (picture.clear, picture.upload):
        when(event, does.clear, None, shown, queued=False)


def viewer(inference: Inference, made: Made) -> str:
    """Before and after, lossless, one over the other: `own/compare.js` brings it to life."""
    before, after = (escape(inference.store.address(path)) for path in (made.before, made.after))
    width, height = made.found.size
    views = "".join(
        f"<label><input type='radio' name='dc-view' value='{value}'{' checked' if not number else ''}>"
        f"<span>{word}</span></label>"
        for number, (value, word) in enumerate(
            [("slider", "Slider"), ("before", "Input"), ("after", "Output"), ("difference", "Difference")]
        )
    )
    zooms = "".join(
        f"<label><input type='radio' name='dc-zoom' value='{value}'{' checked' if not number else ''}>"
        f"<span>{word}</span></label>"
        for number, (value, word) in enumerate([("fit", "Fit"), ("1", "1:1"), ("2", "2×"), ("4", "4×"), ("8", "8×")])
    )
    notes = "".join(f"<p class='dc-note'>{escape(note)}</p>" for note in made.found.notes)
    return (
        f"<section class='dc-compare' data-width='{width}' data-height='{height}'>"
        f"<p class='dc-said' role='status'>{escape(_said(made))}</p>{notes}"
        f"<div class='dc-tools'><fieldset class='dc-choice'><legend>View</legend>{views}</fieldset>"
        f"<fieldset class='dc-choice'><legend>Zoom</legend>{zooms}</fieldset>"
        f"<a class='dc-download' href='{after}' download>Download PNG</a></div>"
        "<div class='dc-stage' tabindex='0' role='region' aria-label='The picture; scrolls when zoomed'>"
        f"<div class='dc-layers' style='aspect-ratio:{width}/{height}'>"
        f"<img class='dc-before' src='{before}' alt='Before: the picture as it came' draggable='false' "
        "onload='deepclarityCompare(this)'>"
        f"<img class='dc-after' src='{after}' alt='After: the picture repaired' draggable='false'>"
        "<span class='dc-divider' aria-hidden='true'></span></div></div>"
        "<label class='dc-slide'><span>Before</span>"
        "<input type='range' min='0' max='1000' value='500' aria-label='Divider between before and after'>"
        "<span>After</span></label></section>"
    )


def _said(made: Made) -> str:
    verdict, size = made.found.verdict, blocks_of(made.found.verdict)
    if verdict.pixelated:
        said = f"It was pixelated{f', in blocks of {size}' if size else ''}, and has been repaired"
    else:
        said = f"{message_of(verdict.kind).title}: repaired because you asked for it"
    width, height = made.found.size
    return f"{said}. {width} × {height} px in {made.took_s:.2f} s, {made.tier} on {made.backend}."
