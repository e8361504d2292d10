"""Our own markup on Gradio's page, and its events as we use them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import gradio as gr

from deepclarity.web.examples import Examples
from deepclarity.web.messages import RefusedError


def html(content: str, *, elem_id: str | None = None, js_on_load: str | None = None) -> gr.HTML:
    """A piece of the page in our own looks; `js_on_load` runs in the browser with `element` and `trigger`."""
    return gr.HTML(content, elem_id=elem_id, js_on_load=js_on_load, apply_default_css=False, padding=False)


def when(
    event: Callable[..., Any],
    work: Callable[..., Any],
    inputs: Sequence[gr.Component] | None = None,
    outputs: Sequence[gr.Component] | None = None,
    *,
    group: str | None = None,
    at_once: int | None = 1,
    progress: Literal["hidden", "minimal"] = "hidden",
    queued: bool = True,
) -> Any:
    """Do `work` on `event`; it gets what the browser sent as it is, as Gradio must not open files on our behalf.

    `group`: events of one group share `at_once` places. None of these events is part of the API for programs.
    """
    return event(
        work, inputs, outputs, preprocess=False, api_visibility="private", show_progress=progress, queue=queued,
        concurrency_id=group, concurrency_limit=at_once,
    )  # fmt: skip


async def chosen(examples: Examples, event: gr.EventData) -> str:
    """The path of the example that was clicked; a sentence on the page where there is none."""
    try:
        return str(await examples.find(str(getattr(event, "name", ""))))
    except RefusedError as error:
        raise gr.Error(str(error), print_exception=False) from error
