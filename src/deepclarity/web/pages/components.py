"""Components that all tabs share: HTML blocks, event handlers, example selection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import gradio as gr

from deepclarity.web.errors import RefusedError
from deepclarity.web.examples import Examples


def html(content: str, *, elem_id: str | None = None, js_on_load: str | None = None) -> gr.HTML:
    """An HTML block without Gradio's styling; `js_on_load` runs in the browser with `element` and `trigger`."""
    return gr.HTML(content, elem_id=elem_id, js_on_load=js_on_load, apply_default_css=False, padding=False)


def bind(
    event: Callable[..., Any],
    handler: Callable[..., Any],
    inputs: Sequence[gr.Component] | None = None,
    outputs: Sequence[gr.Component] | None = None,
    *,
    group: str | None = None,
    concurrency: int | None = 1,
    progress: Literal["hidden", "minimal"] = "hidden",
    queued: bool = True,
) -> Any:
    """Call `handler` on `event` with the values as the browser sent them: Gradio must not open files for us.

    `group`: events of a group share the `concurrency` limit. None of these events is part of the HTTP API.
    """
    return event(
        handler, inputs, outputs, preprocess=False, api_visibility="private", show_progress=progress, queue=queued,
        concurrency_id=group, concurrency_limit=concurrency,
    )  # fmt: skip


async def selected_example(examples: Examples, event: gr.EventData) -> str:
    """The path of the example that was clicked; a Gradio error if it does not exist."""
    try:
        return str(await examples.find(str(getattr(event, "name", ""))))
    except RefusedError as error:
        raise gr.Error(str(error), print_exception=False) from error
