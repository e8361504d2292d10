"""The tab that repairs a video: how far it is, a way to stop it, the result, and what was done to which frame."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from html import escape

import gradio as gr

from deepclarity.pipelines.report.text import headline
from deepclarity.web.examples import CLICKED, CLIP, Examples, buttons_of
from deepclarity.web.inference import Inference
from deepclarity.web.jobs import Result, Step, StoppedError, Videos, Wish
from deepclarity.web.messages import note_panel, plain, refusal_panel
from deepclarity.web.security.content_check import look_at_video

from .components import chosen, html, when
from .correct import tier_choices

_EMPTY = note_panel("Choose a video and press Repair. Frames that are not pixelated are left as they are.")
_STOPPED = note_panel("Cancelled. Nothing of it was kept.")


_RUNNING = gr.update(interactive=False), gr.update(visible=True)
"""The buttons "Repair" and "Cancel" while a video is repaired."""


@dataclass(frozen=True, slots=True)
class _Video:
    """What the tab's buttons do."""

    inference: Inference
    videos: Videos
    examples: Examples

    async def probe(self, payload: object) -> str:
        if not payload:
            return ""
        try:
            path = self.inference.store.uploaded(payload)
            _, seen = await asyncio.to_thread(look_at_video, path, self.inference.limits)
        except Exception as error:  # every failure is told in words
            return refusal_panel(plain(error))
        told = [f"{seen.width_px} × {seen.height_px} px"]
        told += [f"{seen.rate:.4g} frames/s"] if seen.rate else []
        told += [clock(seen.duration_s)] if seen.duration_s else []
        return f"<p class='dc-glance' role='status'>{escape(' · '.join(told))}</p>"

    async def repair(
        self, payload: object, request: gr.Request, *options: object
    ) -> AsyncGenerator[tuple[object, ...], None]:
        """Progress, then the result; `options`: tier, frames, size, container."""
        tier, frames, size, container = options
        try:
            wish = Wish.of(tier, frames == "all", size == "fhd", container)
            async with aclosing(self.videos.repair(payload, wish, session=str(request.session_hash))) as steps:
                async for step in steps:
                    if step.result is not None:
                        yield _idle(result_panel(self.inference, step.result, plays=wish.container == "mp4"))
                        return
                    yield progress_panel(step), *_RUNNING
        except StoppedError:
            yield _idle(_STOPPED)
        except Exception as error:  # every failure is told in words
            yield _idle(refusal_panel(plain(error)))

    def cancel(self, request: gr.Request) -> None:
        self.videos.stop(str(request.session_hash))

    async def choose(self, event: gr.EventData) -> str:
        return await chosen(self.examples, event)


def _idle(panel: str) -> tuple[object, ...]:
    return panel, gr.update(interactive=True), gr.update(visible=False)


def video_tab(inference: Inference, videos: Videos, examples: Examples, *, tier: str) -> None:
    """Build the tab inside the current Blocks."""
    does = _Video(inference, videos, examples)
    html("<p class='dc-lead'>A whole video: only its pixelated frames are repaired. Sound and timing stay.</p>")
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=300):
            video = gr.File(label="Video", file_count="single", type="filepath", height=150, elem_id="video-file")
            seen = html("", elem_id="video-glance")
            choice = gr.Dropdown(
                [("auto · real time on this machine", "auto"), *tier_choices()], value=tier, label="Tier",
                elem_id="video-tier", filterable=False,
            )  # fmt: skip
            frames = gr.Radio(
                [("Pixelated ones", "pixelated"), ("All", "all")], value="pixelated", label="Frames to repair"
            )
            size = gr.Radio([("Full HD", "fhd"), ("As it is", "same")], value="fhd", label="Size")
            container = gr.Radio([("MP4", "mp4"), ("MKV: keeps every track", "mkv")], value="mp4", label="File")
            with gr.Row():
                go = gr.Button("Repair", variant="primary", elem_id="video-go")
                stop = gr.Button("Cancel", variant="stop", visible=False, elem_id="video-cancel")
            tries = html(buttons_of((CLIP,)), js_on_load=CLICKED, elem_id="video-examples")
        with gr.Column(scale=7, min_width=300):
            result = html(_EMPTY, elem_id="video-result")
    when(go.click, does.repair, [video, choice, frames, size, container], [result, go, stop], at_once=None)
    when(stop.click, does.cancel, queued=False)
    when(video.change, does.probe, [video], [seen])
    when(tries.click, does.choose, None, [video])


def progress_panel(step: Step) -> str:
    """How far a video is."""
    if step.ahead:
        return note_panel(f"{_videos(step.ahead)} before yours. It begins when its turn comes.", title="Waiting")
    percent = round(100 * step.done / step.total) if step.total else 0
    count = f"{step.done:,} of {step.total:,} frames" if step.total else f"{step.done:,} frames"
    left = "time left unknown" if step.left_s is None else f"about {clock(step.left_s)} left"
    facts = " · ".join([count, f"{step.repaired:,} repaired", f"{step.frames_per_s:.1f} frames/s", left])
    value = f"aria-valuenow='{percent}'" if step.total else ""
    return (
        "<section class='dc-panel'><h3>Repairing</h3>"
        f"<div class='dc-progress' role='progressbar' aria-label='Repairing the video' aria-valuemin='0' "
        f"aria-valuemax='100' {value}><i style='width:{percent}%'></i></div><p>{facts}</p></section>"
    )


def result_panel(inference: Inference, result: Result, *, plays: bool) -> str:
    """The video to play and to download, and its report."""
    video, report = (escape(inference.store.address(path)) for path in (result.video, result.report))
    summary = result.summary
    trouble = [f"{summary.damaged} damaged packets of the input could not be read."] if summary.damaged else []
    trouble += [f"{summary.fallback} frames could only be resized."] if summary.fallback else []
    notes = "".join(f"<p class='dc-note'>{escape(note)}</p>" for note in trouble)
    player = f"<video controls playsinline preload='metadata' src='{video}'></video>" if plays else ""
    said = f"{headline(summary)} {summary.size}, {summary.frames_per_s:.1f} frames/s, {summary.model}."
    return (
        f"<section class='dc-video'><p class='dc-said' role='status'>{escape(said)}</p>{notes}{player}"
        f"<div class='dc-tools'><a class='dc-download' href='{video}' download>Download video</a>"
        f"<a class='dc-download' href='{report}' target='_blank' rel='noopener'>Open the report</a></div>"
        f"<iframe class='dc-report' src='{report}' title='Report: which frames were repaired' "
        "sandbox='allow-scripts'></iframe></section>"
    )


def clock(seconds: float) -> str:
    """`2:05`."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def _videos(count: int) -> str:
    return "One video is" if count == 1 else f"{count} videos are"
