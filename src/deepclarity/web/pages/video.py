"""The Video tab: repairs a video with progress and cancellation, and shows the result and its report."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from html import escape

import gradio as gr

from deepclarity.pipelines.report.text import headline
from deepclarity.web.errors import RefusedError
from deepclarity.web.examples import CLICK_HANDLER_JS, CLIP, Examples, example_buttons
from deepclarity.web.inference import Inference
from deepclarity.web.jobs import (
    DEFAULT_REPAIR,
    VideoCancelledError,
    VideoOptions,
    VideoProgress,
    VideoQueue,
    VideoResult,
)
from deepclarity.web.messages import error_message, note_card, refusal_card
from deepclarity.web.security.content_check import check_video

from .components import bind, html, selected_example
from .correct import tier_choices
from .inbox import inbox, received
from .timeline import timeline
from .viewer import copy_link

_PLACEHOLDER = note_card("Choose a video and press Repair. Frames that are not pixelated stay unchanged.")
_CANCELLED = note_card("Cancelled. No result was saved.")
_BUSY_BUTTONS = gr.update(interactive=False), gr.update(visible=True)
"""Updates of the "Repair" and "Cancel" buttons while a video is repaired."""


@dataclass(frozen=True, slots=True)
class _VideoHandlers:
    """Event handlers of the tab."""

    inference: Inference
    videos: VideoQueue
    examples: Examples

    async def probe(self, payload: object) -> str:
        if not payload:
            return ""
        try:
            path = self.inference.store.uploaded(payload)
            _, probed = await asyncio.to_thread(check_video, path, self.inference.limits)
        except Exception as error:  # every failure gets a message
            return refusal_card(error_message(error))
        facts = [f"{probed.width_px} × {probed.height_px} px"]
        facts += [f"{probed.rate:.4g} frames/s"] if probed.rate else []
        facts += [format_duration(probed.duration_s)] if probed.duration_s else []
        return f"<p class='dc-info' role='status'>{escape(' · '.join(facts))}</p>"

    async def repair(
        self, payload: object, request: gr.Request, *choices: object
    ) -> AsyncGenerator[tuple[object, ...], None]:
        """Yield progress, then the result; `choices`: tier, kinds, size, container."""
        tier, kinds, size, container = choices
        every_frame = isinstance(kinds, list) and "all" in kinds
        if every_frame and isinstance(kinds, list):  # the kinds do not matter then
            kinds = DEFAULT_REPAIR
        try:
            options = VideoOptions.parse(
                tier, every_frame, size == "fhd", container, repair=kinds, tiers=self.videos.tiers
            )
            async with aclosing(self.videos.repair(payload, options, session=str(request.session_hash))) as reports:
                async for progress in reports:
                    if progress.result is not None:
                        playable = options.container == "mp4"
                        yield _with_idle_buttons(result_card(self.inference, progress.result, playable=playable))
                        return
                    yield progress_card(progress), *_BUSY_BUTTONS
        except VideoCancelledError:
            yield _with_idle_buttons(_CANCELLED)
        except Exception as error:  # every failure gets a message
            yield _with_idle_buttons(refusal_card(error_message(error)))

    def cancel(self, request: gr.Request) -> None:
        self.videos.cancel(str(request.session_hash))

    def receive(self, event: gr.EventData) -> tuple[object, str]:
        """The video that arrived, and what is said if it cannot be used."""
        try:
            return str(self.inference.store.uploaded(next(iter(received(event)), None))), ""
        except RefusedError as error:
            return gr.skip(), refusal_card(str(error))

    async def select_example(self, event: gr.EventData) -> str:
        return await selected_example(self.examples, event)


def _with_idle_buttons(card: str) -> tuple[object, ...]:
    return card, gr.update(interactive=True), gr.update(visible=False)


def video_tab(inference: Inference, videos: VideoQueue, examples: Examples, *, tier: str) -> None:
    """Build the tab inside the current Blocks."""
    handlers = _VideoHandlers(inference, videos, examples)
    html("<p class='dc-lead'>Repairs the pixelated frames of a video. Sound and timing do not change.</p>")
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=300):
            video = gr.File(label="Video", file_count="single", type="filepath", height=150, elem_id="video-file")
            arrivals = inbox(inference.limits, elem_id="video-inbox", kind="video", text="Choose a video")
            info = html("", elem_id="video-info")
            tier_choice = gr.Dropdown(
                [("auto · real time on this machine", "auto"), *tier_choices(videos.tiers)], value=tier, label="Tier",
                elem_id="video-tier", filterable=False,
            )  # fmt: skip
            kinds = gr.CheckboxGroup(
                [("Pixelated", "pixelated"), ("Blocky", "blocky"), ("Soft", "soft"), ("All frames", "all")],
                value=DEFAULT_REPAIR.split(","), label="Frames to repair", elem_id="video-kinds",
            )  # fmt: skip
            size = gr.Radio([("Full HD", "fhd"), ("Original", "same")], value="fhd", label="Size")
            container = gr.Radio([("MP4", "mp4"), ("MKV · keeps all tracks", "mkv")], value="mp4", label="File")
            with gr.Row():
                repair = gr.Button("Repair", variant="primary", elem_id="video-go")
                cancel = gr.Button("Cancel", variant="stop", visible=False, elem_id="video-cancel")
            example_list = html(example_buttons((CLIP,)), js_on_load=CLICK_HANDLER_JS, elem_id="video-examples")
        with gr.Column(scale=7, min_width=300):
            result = html(_PLACEHOLDER, elem_id="video-result")
    inputs = [video, tier_choice, kinds, size, container]
    bind(repair.click, handlers.repair, inputs, [result, repair, cancel], concurrency=None)
    bind(cancel.click, handlers.cancel, queued=False)
    bind(video.change, handlers.probe, [video], [info])
    bind(example_list.click, handlers.select_example, None, [video])
    bind(arrivals.click, handlers.receive, None, [video, info], queued=False)


def progress_card(progress: VideoProgress) -> str:
    """A card with the progress of a video."""
    if progress.ahead:
        return note_card(f"{_videos(progress.ahead)} ahead of yours. Yours starts automatically.", title="Waiting")
    percent = round(100 * progress.done / progress.total) if progress.total else 0
    count = f"{progress.done:,} of {progress.total:,} frames" if progress.total else f"{progress.done:,} frames"
    remaining_s = progress.remaining_s
    remaining = "time left unknown" if remaining_s is None else f"about {format_duration(remaining_s)} left"
    rate = f"{progress.frames_per_s:.1f} frames/s"
    facts = " · ".join([count, f"{progress.repaired:,} repaired", rate, remaining])
    value = f"aria-valuenow='{percent}'" if progress.total else ""
    return (
        "<section class='dc-card'><h3>Repairing</h3>"
        f"<div class='dc-progress' role='progressbar' aria-label='Repairing the video' aria-valuemin='0' "
        f"aria-valuemax='100' {value}><i style='width:{percent}%'></i></div><p>{facts}</p></section>"
    )


def result_card(inference: Inference, result: VideoResult, *, playable: bool) -> str:
    """The repaired video (player and download) and its report. `playable`: whether browsers can play it."""
    video, report = (escape(inference.store.url(path)) for path in (result.video, result.report))
    summary = result.summary
    warnings = [f"{summary.damaged} damaged packets of the input could not be read."] if summary.damaged else []
    warnings += [f"{summary.fallback} frames could not be repaired and were only resized."] if summary.fallback else []
    notes = "".join(f"<p class='dc-note'>{escape(note)}</p>" for note in warnings)
    player = f"<video controls playsinline preload='metadata' src='{video}'></video>" if playable else ""
    text = f"{headline(summary)} {summary.size}, {summary.frames_per_s:.1f} frames/s, {summary.model}."
    content = (
        f"<section class='dc-video'><p class='dc-status' role='status'>{escape(text)}</p>{notes}{player}"
        f"<div class='dc-toolbar'><a class='dc-download' href='{video}' download>Download video</a>"
        f"<a class='dc-download' href='{report}' target='_blank' rel='noopener'>Open the report</a>"
        f"{copy_link(inference.store.link(result.video))}</div>{timeline(result.stretches)}"
        f"<iframe class='dc-report' src='{report}' title='Report: which frames were repaired' "
        "sandbox='allow-scripts'></iframe></section>"
    )
    inference.store.save_page(result.video, content)
    return content


def format_duration(seconds: float) -> str:
    """A duration such as `2:05` or `1:02:05`."""
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def _videos(count: int) -> str:
    return "One video is" if count == 1 else f"{count} videos are"
