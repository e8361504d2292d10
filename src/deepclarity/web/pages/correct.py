"""The Correct tab: repairs a picture and compares it with the original."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import gradio as gr

from deepclarity.web.examples import CLICK_HANDLER_JS, PICTURES, Examples, example_buttons
from deepclarity.web.inference import Correction, Inference
from deepclarity.web.messages import error_message, format_block_size, message_for, note_card, refusal_card
from deepclarity.web.model_cache import Tiers

from .components import bind, html, selected_example
from .detect import picture_input

DEFAULT_TIER = "srgan"
_TIER_LABELS = {
    "srgan": "srgan · best visual quality",
    "srgan-fidelity": "srgan-fidelity · no invented detail",
    "srgan-lite": "srgan-lite · fast, adds texture",
    "srgan-lite-fidelity": "srgan-lite-fidelity · fast, no invented detail",
    "turbo": "turbo · fastest network",
    "lanczos": "lanczos · interpolation only",
}
_PLACEHOLDER = note_card("Choose a pixelated picture and press Repair. Its size does not change.")


def tier_choices(tiers: Tiers) -> list[tuple[str, str]]:
    """The tiers with their labels, best quality first."""
    rank = list(_TIER_LABELS)
    names = sorted(tiers.names, key=lambda name: rank.index(name) if name in rank else len(rank))
    return [(_TIER_LABELS.get(name, name), name) for name in names]


@dataclass(frozen=True, slots=True)
class _CorrectHandlers:
    """Event handlers of the tab."""

    inference: Inference
    examples: Examples

    def correct(self, payload: object, tier: object, *, force: bool = False) -> tuple[str, dict[str, object]]:
        """The result as HTML, and the visibility of the "Repair anyway" button."""
        try:
            correction = self.inference.correct(payload, tier, force=force)
        except Exception as error:  # every failure gets a message
            return refusal_card(error_message(error)), gr.update(visible=False)
        if correction.repaired:
            return viewer(self.inference, correction), gr.update(visible=False)
        message = message_for(correction.detection.verdict.kind)
        text = f"{message.sentence} Nothing was changed."
        return note_card(text, title=message.title), gr.update(visible=True)

    def force(self, payload: object, tier: object) -> tuple[str, dict[str, object]]:
        return self.correct(payload, tier, force=True)

    async def select_example(self, event: gr.EventData) -> str:
        return await selected_example(self.examples, event)

    def clear(self) -> tuple[str, dict[str, object]]:
        return _PLACEHOLDER, gr.update(visible=False)


def correct_tab(inference: Inference, examples: Examples, *, tier: str) -> None:
    """Build the tab inside the current Blocks."""
    handlers = _CorrectHandlers(inference, examples)
    html("<p class='dc-lead'>Repairs a pixelated picture. Its size does not change.</p>")
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=300):
            picture = picture_input("Picture", elem_id="correct-picture")
            tier_choice = gr.Dropdown(
                tier_choices(inference.models.tiers), value=tier, label="Tier", elem_id="correct-tier", filterable=False
            )
            repair = gr.Button("Repair", variant="primary", elem_id="correct-go")
            example_list = html(example_buttons(PICTURES), js_on_load=CLICK_HANDLER_JS, elem_id="correct-examples")
        with gr.Column(scale=7, min_width=300):
            result = html(_PLACEHOLDER, elem_id="correct-result")
            repair_anyway = gr.Button("Repair anyway", visible=False, elem_id="correct-anyway")
    inputs, outputs = [picture, tier_choice], [result, repair_anyway]
    selected = bind(example_list.click, handlers.select_example, None, [picture])
    for event, handler in (
        (repair.click, handlers.correct),
        (repair_anyway.click, handlers.force),
        (selected.then, handlers.correct),
    ):
        bind(event, handler, inputs, outputs, group="enhance", progress="minimal")
    for event in (picture.clear, picture.upload):
        bind(event, handlers.clear, None, outputs, queued=False)


def viewer(inference: Inference, correction: Correction) -> str:
    """The before/after viewer: two lossless pictures on top of each other, driven by `static/compare.js`."""
    before, after = (escape(inference.store.url(path)) for path in (correction.before, correction.after))
    width, height = correction.detection.size
    views = "".join(
        f"<label><input type='radio' name='dc-view' value='{value}'{' checked' if not number else ''}>"
        f"<span>{label}</span></label>"
        for number, (value, label) in enumerate(
            [("slider", "Slider"), ("before", "Input"), ("after", "Output"), ("difference", "Difference")]
        )
    )
    zooms = "".join(
        f"<label><input type='radio' name='dc-zoom' value='{value}'{' checked' if not number else ''}>"
        f"<span>{label}</span></label>"
        for number, (value, label) in enumerate([("fit", "Fit"), ("1", "1:1"), ("2", "2×"), ("4", "4×"), ("8", "8×")])
    )
    notes = "".join(f"<p class='dc-note'>{escape(note)}</p>" for note in correction.detection.notes)
    return (
        f"<section class='dc-compare' data-width='{width}' data-height='{height}'>"
        f"<p class='dc-status' role='status'>{escape(_summary(correction))}</p>{notes}"
        f"<div class='dc-toolbar'><fieldset class='dc-choice'><legend>View</legend>{views}</fieldset>"
        f"<fieldset class='dc-choice'><legend>Zoom</legend>{zooms}</fieldset>"
        f"<a class='dc-download' href='{after}' download>Download PNG</a></div>"
        "<div class='dc-stage' tabindex='0' role='region' aria-label='Picture, scrollable when zoomed'>"
        f"<div class='dc-layers' style='aspect-ratio:{width}/{height}'>"
        f"<img class='dc-before' src='{before}' alt='Before: the original picture' draggable='false' "
        "onload='deepclarityCompare(this)'>"
        f"<img class='dc-after' src='{after}' alt='After: the repaired picture' draggable='false'>"
        "<span class='dc-divider' aria-hidden='true'></span></div></div>"
        "<label class='dc-slide'><span>Before</span>"
        "<input type='range' min='0' max='1000' value='500' aria-label='Divider between before and after'>"
        "<span>After</span></label></section>"
    )


def _summary(correction: Correction) -> str:
    verdict, size = correction.detection.verdict, format_block_size(correction.detection.verdict)
    if verdict.pixelated:
        result = f"The picture was pixelated{f', in blocks of {size}' if size else ''}, and has been repaired"
    else:
        result = f"{message_for(verdict.kind).title}: repaired because you asked for it"
    width, height = correction.detection.size
    model = f"{correction.tier} on {correction.backend}"
    return f"{result}. {width} × {height} px in {correction.elapsed_s:.2f} s, {model}."
