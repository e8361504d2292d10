"""The Correct tab: repairs pictures and compares them with the originals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import gradio as gr

from deepclarity.web.examples import CLICK_HANDLER_JS, PICTURES, Examples, example_buttons
from deepclarity.web.inference import Correction, Inference
from deepclarity.web.messages import error_message, format_block_size, message_for, note_card, refusal_card
from deepclarity.web.model_cache import Tiers
from deepclarity.web.several.collection import CollectionCancelledError, Collections

from .components import bind, html, selected_example
from .detect import picture_input
from .gallery import gallery, with_link
from .inbox import inbox, receive_pictures
from .viewer import Layer, viewer

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
_CANCELLED = note_card("Cancelled. No result was saved.")
_SHOWN, _HIDDEN = gr.update(visible=True), gr.update(visible=False)
_Result = tuple[str, dict[str, object], dict[str, object]]
"""The result as HTML, and updates of the buttons "Repair anyway" and "Cancel"."""


def tier_choices(tiers: Tiers) -> list[tuple[str, str]]:
    """The tiers with their labels, best quality first."""
    rank = list(_TIER_LABELS)
    names = sorted(tiers.names, key=lambda name: rank.index(name) if name in rank else len(rank))
    return [(_TIER_LABELS.get(name, name), name) for name in names]


@dataclass(frozen=True, slots=True)
class _CorrectHandlers:
    """Event handlers of the tab."""

    inference: Inference
    collections: Collections
    examples: Examples

    async def correct(
        self, payload: object, batch: object, tier: object, other: object, request: gr.Request, *, force: bool = False
    ) -> AsyncGenerator[_Result, None]:
        """Repair the pictures that arrived together, or else the one picture."""
        if batch:
            async for result in self.several(batch, tier, request, force=force):
                yield result
            return
        yield await asyncio.to_thread(self._one, payload, tier, other, force)

    async def force(
        self, payload: object, batch: object, tier: object, other: object, request: gr.Request
    ) -> AsyncGenerator[_Result, None]:
        async with aclosing(self.correct(payload, batch, tier, other, request, force=True)) as results:
            async for result in results:
                yield result

    async def several(
        self, batch: object, tier: object, request: gr.Request, *, force: bool = False
    ) -> AsyncGenerator[_Result, None]:
        """Yield the gallery while it fills."""
        session = str(request.session_hash)
        try:
            runs = self.collections.run(batch, task="correct", choice=tier, force=force, session=session)
            async with aclosing(runs) as steps:
                async for collection, link in with_link(steps, self.inference):
                    nothing = bool(link) and not any(item.repaired or item.error for item in collection.items)
                    anyway = _SHOWN if nothing else _HIDDEN
                    yield gallery(collection, link=link), anyway, _HIDDEN if link else _SHOWN
        except CollectionCancelledError:
            yield _CANCELLED, _HIDDEN, _HIDDEN
        except Exception as error:  # every failure gets a message
            yield refusal_card(error_message(error)), _HIDDEN, _HIDDEN

    def _one(self, payload: object, tier: object, other: object, force: bool) -> _Result:
        try:
            second = None if other in ("", tier) else other
            correction = self.inference.correct(payload, tier, force=force, other=second)
            if correction.repaired:
                return correction_viewer(self.inference, correction), _HIDDEN, _HIDDEN
        except Exception as error:  # every failure gets a message
            return refusal_card(error_message(error)), _HIDDEN, _HIDDEN
        message = message_for(correction.detection.verdict.kind)
        text = f"{message.sentence} Nothing was changed."
        return note_card(text, title=message.title), _SHOWN, _HIDDEN

    async def arrived(
        self, payload: object, batch: object, tier: object, other: object, request: gr.Request
    ) -> AsyncGenerator[tuple[object, ...], None]:
        """Repair several pictures as soon as they have arrived; a single one waits for the button."""
        if not batch:
            yield gr.skip(), _HIDDEN, _HIDDEN
            return
        async for result in self.several(batch, tier, request):
            yield result

    def receive(self, event: gr.EventData) -> tuple[str | None, list[dict[str, object]], str]:
        """The picture, the pictures if there are several, and what is shown meanwhile."""
        return receive_pictures(self.inference, event, placeholder=_PLACEHOLDER)

    def cancel(self, request: gr.Request) -> None:
        self.collections.cancel(str(request.session_hash))

    async def select_example(self, event: gr.EventData) -> tuple[str, list[object]]:
        return await selected_example(self.examples, event), []

    def clear(self) -> tuple[list[object], str, dict[str, object], dict[str, object]]:
        return [], _PLACEHOLDER, _HIDDEN, _HIDDEN


def correct_tab(inference: Inference, collections: Collections, examples: Examples, *, tier: str) -> None:
    """Build the tab inside the current Blocks."""
    handlers = _CorrectHandlers(inference, collections, examples)
    tiers = tier_choices(inference.models.tiers)
    html("<p class='dc-lead'>Repairs pixelated pictures. Their size does not change.</p>")
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=300):
            picture, batch = picture_input("Picture", elem_id="correct-picture"), gr.State([])
            arrivals = inbox(inference.limits, elem_id="correct-inbox", kind="pictures", text="Choose several pictures")
            with gr.Group():
                tier_choice = gr.Dropdown(tiers, value=tier, label="Tier", elem_id="correct-tier", filterable=False)
                other = gr.Dropdown(
                    [("nothing · input and output only", ""), *tiers], value="", label="Compare with",
                    elem_id="correct-other", filterable=False,
                )  # fmt: skip
            with gr.Row():
                repair = gr.Button("Repair", variant="primary", elem_id="correct-go")
                cancel = gr.Button("Cancel", variant="stop", visible=False, elem_id="correct-cancel")
            example_list = html(example_buttons(PICTURES), js_on_load=CLICK_HANDLER_JS, elem_id="correct-examples")
        with gr.Column(scale=7, min_width=300):
            result = html(_PLACEHOLDER, elem_id="correct-result")
            repair_anyway = gr.Button("Repair anyway", visible=False, elem_id="correct-anyway")
    inputs, outputs = [picture, batch, tier_choice, other], [result, repair_anyway, cancel]
    selected = bind(example_list.click, handlers.select_example, None, [picture, batch])
    arrived = bind(arrivals.click, handlers.receive, None, [picture, batch, result], queued=False)
    for event, handler in (
        (repair.click, handlers.correct),
        (repair_anyway.click, handlers.force),
        (selected.then, handlers.correct),
    ):
        bind(event, handler, inputs, outputs, group="enhance", concurrency=2, progress="minimal")
    bind(arrived.success, handlers.arrived, inputs, outputs, group="several", concurrency=2)
    bind(cancel.click, handlers.cancel, queued=False)
    for event in (picture.clear, picture.upload):
        bind(event, handlers.clear, None, [batch, *outputs], queued=False)


def correction_viewer(inference: Inference, correction: Correction) -> str:
    """The viewer of a repaired picture, which is saved under its link, too."""
    url, after, second = inference.store.url, correction.after, correction.second
    other = Layer(url(second.after), second.tier, second.after.name) if second else None
    content = viewer(
        Layer(url(correction.before), "Input"),
        Layer(url(after), correction.tier if second else "Output", after.name),
        size=correction.detection.size,
        status=_summary(correction),
        notes=correction.detection.notes,
        other=other,
        link=inference.store.link(after),
    )
    inference.store.save_page(after, content)
    return content


def _summary(correction: Correction) -> str:
    verdict, size = correction.detection.verdict, format_block_size(correction.detection.verdict)
    if verdict.pixelated:
        result = f"The picture was pixelated{f', in blocks of {size}' if size else ''}, and has been repaired"
    else:
        result = f"{message_for(verdict.kind).title}: repaired because you asked for it"
    width, height = correction.detection.size
    compared = f" compared with {correction.second.tier}" if correction.second else ""
    model = f"{correction.tier} on {correction.backend}{compared}"
    return f"{result}. {width} × {height} px in {correction.elapsed_s:.2f} s, {model}."
