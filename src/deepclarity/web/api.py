"""HTTP API endpoints: the same functions as the pages, with JSON values.

Gradio inspects the annotations of the endpoints at runtime, so this module must not postpone their evaluation.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import gradio as gr
from gradio.events import api

from deepclarity.models.detectors import DEFAULT_DETECTOR
from deepclarity.pipelines.report.text import summary_values

from .inference import Inference
from .jobs import VideoCancelledError, VideoOptions, VideoProgress, VideoQueue
from .messages import describe_verdict, error_message
from .pages.correct import DEFAULT_TIER

P = ParamSpec("P")
R = TypeVar("R")


def _report_errors(function: Callable[P, R]) -> Callable[P, R]:
    """Turn every exception into a Gradio error with a one-sentence message."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Exception as error:  # every failure gets a message
            raise gr.Error(error_message(error), print_exception=False) from None

    return wrapper


@dataclass(frozen=True, slots=True)
class _Endpoints:
    """The endpoints. The page "Use it from a program" shows their docstrings and parameters."""

    inference: Inference
    videos: VideoQueue

    @_report_errors
    def detect(self, image: dict[str, Any], method: str = DEFAULT_DETECTOR) -> dict[str, Any]:
        """Detect whether a picture is pixelated. `image` is `handle_file("picture.png")`."""
        detection = self.inference.detect(image, method)
        return {**detection.as_json(), "sentence": describe_verdict(detection.verdict)}

    @_report_errors
    def correct(
        self, image: dict[str, Any], model: str = DEFAULT_TIER, force: bool = False
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Repair a picture. `image` is `handle_file("picture.png")`. Returns a PNG file and the verdict."""
        correction = self.inference.correct(image, model, force=force)
        detection = correction.detection
        sentence = describe_verdict(detection.verdict)
        verdict = {**detection.as_json(), "repaired": correction.repaired, "sentence": sentence}
        return _file_data(correction.after), verdict

    async def repair_video(
        self,
        video: dict[str, Any],
        request: gr.Request,
        model: str = "auto",
        every_frame: bool = False,
        full_hd: bool = True,
        container: str = "mp4",
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Repair a video. `video` is `handle_file("film.mp4")`. Yields progress, then `video`, `report`, `summary`."""
        try:
            options = VideoOptions.parse(model, every_frame, full_hd, container, tiers=self.videos.tiers)
            async with aclosing(self.videos.repair(video, options, session=str(request.session_hash))) as reports:
                async for progress in reports:
                    yield _progress_json(progress)
        except VideoCancelledError:
            raise gr.Error("Cancelled.", print_exception=False) from None
        except Exception as error:  # every failure gets a message
            raise gr.Error(error_message(error), print_exception=False) from None


def add_api(inference: Inference, videos: VideoQueue, *, only: str | None) -> None:
    """Add the endpoints to the current Blocks: `/detect`, `/correct` and `/repair_video`."""
    endpoints = _Endpoints(inference, videos)
    if only in (None, "detect"):
        api(endpoints.detect, api_name="detect", concurrency_limit=2, concurrency_id="detect")
    if only in (None, "correct"):
        api(endpoints.correct, api_name="correct", concurrency_limit=1, concurrency_id="enhance")
    if only is None:
        api(endpoints.repair_video, api_name="repair_video", concurrency_limit=None)


def _progress_json(progress: VideoProgress) -> dict[str, Any]:
    """The progress of a video, or its result."""
    result = progress.result
    if result is None:
        return {"ahead": progress.ahead, "frames": progress.done, "of": progress.total}
    summary = {key: value for key, value in summary_values(result.summary).items() if key not in ("source", "output")}
    return {"video": _file_data(result.video), "report": _file_data(result.report), "summary": summary}


def _file_data(path: Path) -> dict[str, Any]:
    """A Gradio `FileData` payload, from which clients download the file."""
    return {"path": str(path), "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}
