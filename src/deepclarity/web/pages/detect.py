"""The Detect tab: the verdict on pictures and its evidence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from html import escape

import gradio as gr

from deepclarity.models.detectors import DEFAULT_DETECTOR, DETECTORS
from deepclarity.web.examples import CLICK_HANDLER_JS, PICTURES, Examples, example_buttons
from deepclarity.web.inference import Inference, comparison_table, detection_facts
from deepclarity.web.messages import error_message, note_card, refusal_card, verdict_card
from deepclarity.web.several.collection import CollectionCancelledError, Collections

from .components import bind, html, selected_example
from .gallery import gallery, with_link
from .inbox import inbox, receive_pictures

_METHOD_LABELS = {
    "lattice-net": "lattice-net · the default",
    "grid": "grid · classical, no neural network",
    "canny-mobilenet": "canny-mobilenet · the published method",
    "mobilenet": "mobilenet · baseline of the published method",
}
_PLACEHOLDER = note_card("Choose a picture: upload one, paste it, take it with the camera, or try an example.")


def picture_input(label: str, *, elem_id: str) -> gr.Image:
    """An input for a picture: upload, clipboard or camera."""
    return gr.Image(
        label=label, type="filepath", sources=["upload", "clipboard", "webcam"], image_mode=None, height=340,
        elem_id=elem_id, buttons=[], webcam_options=gr.WebcamOptions(mirror=False),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _DetectHandlers:
    """Event handlers of the tab."""

    inference: Inference
    collections: Collections
    examples: Examples

    def detect(self, payload: object, method: object) -> str:
        try:
            detection = self.inference.detect(payload, method)
        except Exception as error:  # every failure gets a message
            return refusal_card(error_message(error))
        return verdict_card(detection.verdict, detection_facts(detection), notes=detection.notes)

    def explain(self, payload: object, method: object) -> str:
        try:
            path = self.inference.explain(payload, method)
        except Exception:  # `detect` has already shown the message
            return ""
        if path is None:
            return note_card("The picture is too small to show evidence.")
        url = escape(self.inference.store.url(path))
        return (
            "<figure class='dc-evidence'><figcaption>Evidence for the verdict</figcaption>"
            f"<a href='{url}' target='_blank' rel='noopener'><img src='{url}' "
            "alt='The picture, the detected blocks, and the gradient profiles folded at the block size'></a></figure>"
        )

    def compare(self, payload: object) -> str:
        try:
            return comparison_table(self.inference.compare(payload))
        except Exception as error:  # every failure gets a message
            return refusal_card(error_message(error))

    async def several(
        self, payload: object, batch: object, method: object, request: gr.Request
    ) -> AsyncGenerator[tuple[object, object, object], None]:
        """Examine the pictures that arrived together, or else the one picture."""
        if not batch:
            yield await asyncio.to_thread(self.detect, payload, method), gr.skip(), gr.skip()
            yield gr.skip(), gr.skip(), await asyncio.to_thread(self.explain, payload, method)
            return
        try:
            runs = self.collections.run(batch, task="detect", choice=method, session=str(request.session_hash))
            async with aclosing(runs) as steps:
                async for collection, link in with_link(steps, self.inference):
                    yield gallery(collection, link=link), "", ""
        except CollectionCancelledError:
            yield _PLACEHOLDER, "", ""
        except Exception as error:  # every failure gets a message
            yield refusal_card(error_message(error)), "", ""

    def receive(self, event: gr.EventData) -> tuple[str | None, list[dict[str, object]], str]:
        """The picture, the pictures if there are several, and what is shown meanwhile."""
        return receive_pictures(self.inference, event, placeholder=_PLACEHOLDER)

    async def select_example(self, event: gr.EventData) -> tuple[str, list[object]]:
        return await selected_example(self.examples, event), []

    def clear(self) -> tuple[list[object], str, str, str]:
        return [], _PLACEHOLDER, "", ""


def detect_tab(inference: Inference, collections: Collections, examples: Examples) -> None:
    """Build the tab inside the current Blocks."""
    handlers = _DetectHandlers(inference, collections, examples)
    html("<p class='dc-lead'>Checks whether a picture is pixelated, and shows the evidence.</p>")
    with gr.Row(equal_height=False):
        with gr.Column(scale=5, min_width=300):
            picture, batch = picture_input("Picture", elem_id="detect-picture"), gr.State([])
            arrivals = inbox(inference.limits, elem_id="detect-inbox", kind="pictures", text="Choose several pictures")
            method = gr.Dropdown(
                [(_METHOD_LABELS.get(name, name), name) for name in DETECTORS], value=DEFAULT_DETECTOR, label="Method",
                elem_id="detect-method", filterable=False,
            )  # fmt: skip
            with gr.Row():
                run = gr.Button("Detect", variant="primary", elem_id="detect-go")
                all_methods = gr.Button("Compare all methods", elem_id="detect-compare")
            example_list = html(example_buttons(PICTURES), js_on_load=CLICK_HANDLER_JS, elem_id="detect-examples")
        with gr.Column(scale=6, min_width=300):
            verdict = html(_PLACEHOLDER, elem_id="detect-verdict")
            table = html("", elem_id="detect-table")
            evidence = html("", elem_id="detect-evidence")
    inputs, outputs = [picture, batch, method], [verdict, table, evidence]
    selected = bind(example_list.click, handlers.select_example, None, [picture, batch])
    arrived = bind(arrivals.click, handlers.receive, None, [picture, batch, verdict], queued=False)
    uploaded = bind(picture.upload, handlers.clear, None, [batch, *outputs], queued=False)
    for event in (run.click, uploaded.then, selected.then, arrived.success):
        bind(event, handlers.several, inputs, outputs, group="detect", concurrency=3)
    bind(all_methods.click, handlers.compare, [picture], [table], group="explain")
    bind(picture.clear, handlers.clear, None, [batch, *outputs], queued=False)
