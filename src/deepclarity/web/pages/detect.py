"""The tab that says what is wrong with a picture, and why."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import gradio as gr

from deepclarity.models.detectors import DEFAULT_DETECTOR, DETECTORS
from deepclarity.web.examples import CLICKED, PICTURES, Examples, buttons_of
from deepclarity.web.inference import Inference, facts_of, table_of
from deepclarity.web.messages import note_panel, plain, refusal_panel, verdict_panel

from .components import chosen, html, when

_ABOUT = {
    "lattice-net": "lattice-net · the default",
    "grid": "grid · classical, nothing learnt",
    "canny-mobilenet": "canny-mobilenet · the published method",
    "mobilenet": "mobilenet · its baseline",
}
_EMPTY = note_panel("Choose a picture: upload one, paste it, take it with the camera, or try an example.")


def picture_input(label: str, *, elem_id: str) -> gr.Image:
    """Where a picture is dropped, pasted or taken."""
    return gr.Image(
        label=label, type="filepath", sources=["upload", "clipboard", "webcam"], image_mode=None, height=340,
        elem_id=elem_id, buttons=[], webcam_options=gr.WebcamOptions(mirror=False),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Detect:
    """What the tab's buttons do."""

    inference: Inference
    examples: Examples

    def detect(self, payload: object, method: object) -> str:
        try:
            found = self.inference.detect(payload, method)
        except Exception as error:  # every failure is told in words
            return refusal_panel(plain(error))
        return verdict_panel(found.verdict, facts_of(found), notes=found.notes)

    def explain(self, payload: object, method: object) -> str:
        try:
            path = self.inference.explain(payload, method)
        except Exception:  # has been told beside the verdict
            return ""
        if path is None:
            return note_panel("The picture is too small to show its evidence.")
        address = escape(self.inference.store.address(path))
        return (
            "<figure class='dc-evidence'><figcaption>What the verdict rests on</figcaption>"
            f"<a href='{address}' target='_blank' rel='noopener'><img src='{address}' "
            "alt='The picture; where blocks are seen in it; its steps folded at the block size'></a></figure>"
        )

    def compare(self, payload: object) -> str:
        try:
            return table_of(self.inference.compare(payload))
        except Exception as error:  # every failure is told in words
            return refusal_panel(plain(error))

    async def choose(self, event: gr.EventData) -> str:
        return await chosen(self.examples, event)

    def clear(self) -> tuple[str, str, str]:
        return _EMPTY, "", ""


def detect_tab(inference: Inference, examples: Examples) -> None:
    """Build the tab inside the current Blocks."""
    does = _Detect(inference, examples)
    html("<p class='dc-lead'>Is this picture pixelated? A detector looks and says what it sees.</p>")
    with gr.Row(equal_height=False):
        with gr.Column(scale=5, min_width=300):
            picture = picture_input("Picture", elem_id="detect-picture")
            method = gr.Dropdown(
                [(_ABOUT.get(name, name), name) for name in DETECTORS], value=DEFAULT_DETECTOR, label="Method",
                elem_id="detect-method", filterable=False,
            )  # fmt: skip
            with gr.Row():
                look = gr.Button("Detect", variant="primary", elem_id="detect-go")
                all_methods = gr.Button("Compare all methods", elem_id="detect-compare")
            tries = html(buttons_of(PICTURES), js_on_load=CLICKED, elem_id="detect-examples")
        with gr.Column(scale=6, min_width=300):
            verdict = html(_EMPTY, elem_id="detect-verdict")
            table = html("", elem_id="detect-table")
            evidence = html("", elem_id="detect-evidence")
    asked = [picture, method]
    chosen = when(tries.click, does.choose, None, [picture])
    for event in (look.click, picture.upload, chosen.then):
        seen = when(event, does.detect, asked, [verdict], group="detect", at_once=2)
        when(seen.then, does.explain, asked, [evidence], group="explain")
    when(all_methods.click, does.compare, [picture], [table], group="explain")
    when(picture.clear, does.clear, None, [verdict, table, evidence], queued=False)
    when(picture.upload, lambda: "", None, [table], queued=False)
