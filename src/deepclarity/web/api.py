"""HTTP API endpoints: the same functions as the pages, with JSON values.

Gradio inspects the annotations of the endpoints at runtime, so this module must not postpone their evaluation.
"""

import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import gradio as gr
from gradio.events import api

from deepclarity.models.detectors import DEFAULT_DETECTOR
from deepclarity.pipelines.report.text import summary_values

from .inference import Inference
from .jobs import DEFAULT_REPAIR, VideoCancelledError, VideoOptions, VideoProgress, VideoQueue
from .messages import describe_verdict, error_message
from .pages.correct import DEFAULT_TIER
from .pages.gallery import ARCHIVE_NAME, with_link
from .several.collection import Collections

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
    collections: Collections
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

    async def correct_several(
        self,
        images: list[dict[str, Any]],
        request: gr.Request,
        model: str = DEFAULT_TIER,
        force: bool = False,
    ) -> dict[str, Any]:
        """Repair several pictures. `images` is a list of `handle_file("picture.png")`.

        Returns `pictures`: for each its `name`, `repaired`, `file`, verdict and, if it could not be used, the `error`;
        and the addresses of all in one ZIP file and of a page that shows them.
        """
        session, collection = f"{request.session_hash}-{secrets.token_hex(8)}", None
        try:
            runs = self.collections.run(images, task="correct", choice=model, force=force, session=session)
            async with aclosing(runs) as steps:
                async for collection, link in with_link(steps, self.inference):  # noqa: B007
                    pass
        except Exception as error:  # every failure gets a message
            raise gr.Error(error_message(error), print_exception=False) from None
        assert collection is not None
        folder = collection.folder
        pictures = [
            {**item.as_json(), "file": _file_data(folder / item.result) if item.repaired else None}
            for item in collection.items
        ]
        return {"pictures": pictures, "zip": f"{link}/{ARCHIVE_NAME}", "page": link}

    async def repair_video(
        self,
        video: dict[str, Any],
        request: gr.Request,
        model: str = "auto",
        every_frame: bool = False,
        full_hd: bool = True,
        container: str = "mp4",
        repair: str = DEFAULT_REPAIR,
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Repair a video. `video` is `handle_file("film.mp4")`, `repair` kinds of `pixelated,blocky,soft`.

        Yields progress, then `video`, `report`, `summary` and `stretches`: what was done to which frames, and why.
        """
        try:
            options = VideoOptions.parse(model, every_frame, full_hd, container, repair=repair, tiers=self.videos.tiers)
            async with aclosing(self.videos.repair(video, options, session=str(request.session_hash))) as reports:
                async for progress in reports:
                    yield _progress_json(progress)
        except VideoCancelledError:
            raise gr.Error("Cancelled.", print_exception=False) from None
        except Exception as error:  # every failure gets a message
            raise gr.Error(error_message(error), print_exception=False) from None


def add_api(inference: Inference, collections: Collections, videos: VideoQueue, *, only: str | None) -> None:
    """Add the endpoints to the current Blocks: `/detect`, `/correct`, `/correct_several` and `/repair_video`."""
    endpoints = _Endpoints(inference, collections, videos)
    if only in (None, "detect"):
        api(endpoints.detect, api_name="detect", concurrency_limit=2, concurrency_id="detect")
    if only in (None, "correct"):
        api(endpoints.correct, api_name="correct", concurrency_limit=2, concurrency_id="enhance")
        api(endpoints.correct_several, api_name="correct_several", concurrency_limit=2, concurrency_id="several")
    if only is None:
        api(endpoints.repair_video, api_name="repair_video", concurrency_limit=None)


def _progress_json(progress: VideoProgress) -> dict[str, Any]:
    """The progress of a video, or its result."""
    result = progress.result
    if result is None:
        return {"ahead": progress.ahead, "frames": progress.done, "of": progress.total}
    summary = {key: value for key, value in summary_values(result.summary).items() if key not in ("source", "output")}
    return {
        "video": _file_data(result.video),
        "report": _file_data(result.report),
        "summary": summary,
        "stretches": [asdict(stretch) for stretch in result.stretches],
    }


def _file_data(path: Path) -> dict[str, Any]:
    """A Gradio `FileData` payload, from which clients download the file."""
    return {"path": str(path), "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}
