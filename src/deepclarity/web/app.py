"""The Gradio app: page header, tabs and API endpoints."""

from __future__ import annotations

import gradio as gr

from .api import add_api
from .examples import Examples
from .inference import Inference
from .jobs import VideoQueue
from .limits import Limits
from .pages.components import html
from .pages.correct import DEFAULT_TIER, correct_tab
from .pages.detect import detect_tab
from .pages.live import live_tab
from .pages.video import video_tab
from .several.collection import Collections

HEAD = (
    "<link rel='stylesheet' href='/own/app.css'><meta name='color-scheme' content='light dark'>"
    "<script src='/own/compare.js' defer></script><script src='/own/inbox.js' defer></script>"
    "<script src='/own/live.js' defer></script>"
)


def build(
    inference: Inference,
    collections: Collections,
    videos: VideoQueue,
    examples: Examples,
    *,
    only: str | None = None,
    tier: str | None = None,
) -> gr.Blocks:
    """Build all tabs, or with `only` just one (`detect` or `correct`). `tier`: the tier selected at first."""
    blocks: gr.Blocks
    with gr.Blocks(title="DeepClarity", analytics_enabled=False, fill_width=False) as blocks:
        add_api(inference, collections, videos, only=only)  # before the tabs, whose events would take these names
        html(
            "<header class='dc-head'><h1>DeepClarity</h1>"
            "<p>Repairs pixelated pictures and videos. Everything else stays unchanged.</p></header>"
        )
        if only == "detect":
            detect_tab(inference, collections, examples)
        elif only == "correct":
            correct_tab(inference, collections, examples, tier=tier or DEFAULT_TIER)
        else:
            with gr.Tabs(elem_id="tabs"):
                with gr.Tab("Detect", id="detect"):
                    detect_tab(inference, collections, examples)
                with gr.Tab("Correct", id="correct"):
                    correct_tab(inference, collections, examples, tier=tier or DEFAULT_TIER)
                with gr.Tab("Video", id="video"):
                    video_tab(inference, videos, examples, tier=tier or "auto")
                with gr.Tab("Live", id="live"):
                    live_tab(videos.tiers, tier=tier or "turbo")
        html(
            f"<footer class='dc-foot'><p>{_limits_text(inference.limits, only)} "
            "<button type='button' onclick='document.querySelector(&quot;button.show-api&quot;).click()'>"
            "Use it from a program</button></p></footer>"
        )

        def on_unload(request: gr.Request) -> None:
            videos.cancel(str(request.session_hash))
            collections.cancel(str(request.session_hash))

        blocks.unload(on_unload)
    blocks.queue(max_size=inference.limits.queue, default_concurrency_limit=2, api_open=False)
    return blocks


def _limits_text(limits: Limits, only: str | None) -> str:
    pictures = f"Pictures up to {limits.picture_px / 1e6:.0f} megapixels"
    videos = f", videos up to {limits.video_s / 60:.0f} minutes and {limits.upload_bytes >> 20} MB"
    retention = f"are deleted after {limits.retention_s / 60:.0f} minutes."
    return f"{pictures}{videos if only is None else ''}. Uploads and results {retention}"
