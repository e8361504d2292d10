"""The endpoints for programs: plain values in and out, the same work as the tabs do.

Gradio reads their annotations as they stand, so that these must be types here, not text.
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
from deepclarity.pipelines.report.text import sums

from .inference import Inference
from .jobs import Step, StoppedError, Videos, Wish
from .messages import plain, sentence_of
from .pages.correct import DEFAULT_TIER

P = ParamSpec("P")
R = TypeVar("R")


def _in_words(function: Callable[P, R]) -> Callable[P, R]:
    """Failures as one sentence."""

    @wraps(function)
    def told(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Exception as error:  # every failure is told in words
            raise gr.Error(plain(error), print_exception=False) from None

    return told


@dataclass(frozen=True, slots=True)
class _Endpoints:
    """Their docstrings and parameters are what the page "Use it from a program" shows."""

    inference: Inference
    videos: Videos

    @_in_words
    def detect(self, image: dict[str, Any], method: str = DEFAULT_DETECTOR) -> dict[str, Any]:
        """Say whether a picture is pixelated. `image` is `handle_file("picture.png")`."""
        found = self.inference.detect(image, method)
        return {**found.as_json(), "sentence": sentence_of(found.verdict)}

    @_in_words
    def correct(
        self, image: dict[str, Any], model: str = DEFAULT_TIER, force: bool = False
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Repair a picture, `handle_file("picture.png")`: the picture as a PNG file, and what was found in it."""
        made = self.inference.correct(image, model, force=force)
        said = {**made.found.as_json(), "repaired": made.repaired, "sentence": sentence_of(made.found.verdict)}
        return _file(made.after), said

    async def repair_video(
        self,
        video: dict[str, Any],
        request: gr.Request,
        model: str = "auto",
        every_frame: bool = False,
        full_hd: bool = True,
        container: str = "mp4",
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Repair a video, `handle_file("film.mp4")`: tells how far it is, at last `video`, `report` and `summary`."""
        try:
            wish = Wish.of(model, every_frame, full_hd, container)
            async with aclosing(self.videos.repair(video, wish, session=str(request.session_hash))) as steps:
                async for step in steps:
                    yield _told(step)
        except StoppedError:
            raise gr.Error("Cancelled.", print_exception=False) from None
        except Exception as error:  # every failure is told in words
            raise gr.Error(plain(error), print_exception=False) from None


def add_api(inference: Inference, videos: Videos, *, only: str | None) -> None:
    """Add the endpoints to the current Blocks: `/detect`, `/correct` and `/repair_video`."""
    serves = _Endpoints(inference, videos)
    if only in (None, "detect"):
        api(serves.detect, api_name="detect", concurrency_limit=2, concurrency_id="detect")
    if only in (None, "correct"):
        api(serves.correct, api_name="correct", concurrency_limit=1, concurrency_id="enhance")
    if only is None:
        api(serves.repair_video, api_name="repair_video", concurrency_limit=None)


def _told(step: Step) -> dict[str, Any]:
    """How far a video is, or its result."""
    result = step.result
    if result is None:
        return {"ahead": step.ahead, "frames": step.done, "of": step.total}
    known = {key: value for key, value in sums(result.summary).items() if key not in ("source", "output")}
    return {"video": _file(result.video), "report": _file(result.report), "summary": known}


def _file(path: Path) -> dict[str, Any]:
    """A file as Gradio's clients take it: they download it by this."""
    return {"path": str(path), "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}
