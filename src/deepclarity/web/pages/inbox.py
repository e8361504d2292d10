"""Where files arrive that are dropped or pasted anywhere on the page, or chosen several at once."""

from __future__ import annotations

from html import escape

import gradio as gr

from deepclarity.web.errors import RefusedError
from deepclarity.web.inference import Inference
from deepclarity.web.limits import MEBI, Limits
from deepclarity.web.messages import note_card, refusal_card
from deepclarity.web.security.content_check import NOT_A_PICTURE

from .components import html


def inbox(limits: Limits, *, elem_id: str, kind: str, text: str) -> gr.HTML:
    """An inbox, driven by `static/inbox.js`; its `click` event has `files`, a list of Gradio `FileData`.

    `kind`: `pictures`, of which several may arrive at once, or `video`. `text`: what the button says.
    """
    several = kind == "pictures"
    count = limits.several_pictures if several else 1
    most_bytes = min(limits.several_bytes, limits.upload_bytes) if several else limits.upload_bytes
    accept = ".jpg,.jpeg,.png,.webp,.bmp,.tif,.tiff" if several else "video/*"
    return html(
        f"<div class='dc-inbox' data-kind='{kind}' data-count='{count}' data-megabytes='{most_bytes // MEBI}'>"
        f"<p><button type='button' class='dc-choose'>{escape(text)}</button>"
        f"<input type='file' accept='{accept}' {'multiple' if several else ''} hidden> or drop or paste anywhere</p>"
        "<p class='dc-inbox-status' role='status'></p>"
        "<button type='button' class='dc-stop' hidden>Cancel upload</button></div>",
        elem_id=elem_id,
        js_on_load="element.querySelector('.dc-inbox').dcTrigger = trigger;",
    )


def received(event: gr.EventData) -> list[dict[str, object]]:
    """The files in an event of an inbox: `path` and `orig_name` only, whatever else a client may have sent."""
    files = getattr(event, "files", None)
    return [
        {"path": each.get("path"), "orig_name": each.get("orig_name"), "meta": {"_type": "gradio.FileData"}}
        for each in (files if isinstance(files, list) else [])
        if isinstance(each, dict)
    ]


def receive_pictures(
    inference: Inference, event: gr.EventData, *, placeholder: str
) -> tuple[str | None, list[dict[str, object]], str]:
    """(the picture, the pictures if there are several, HTML to show meanwhile); a Gradio error if it is no upload."""
    files = received(event)
    if len(files) != 1:
        return None, files, note_card("Starting …") if files else refusal_card("Choose some pictures first.")
    try:
        path = inference.store.uploaded(files[0])
    except RefusedError as error:
        return None, [], refusal_card(str(error))
    if path.suffix.lower() == ".svg":  # Gradio would show it as it is
        return None, [], refusal_card(NOT_A_PICTURE)
    return str(path), [], placeholder
