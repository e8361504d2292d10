"""Example pictures and an example clip, drawn when the server starts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import DeepClarityError
from deepclarity.pipelines.demo.scene import paint, pan, pixelate
from deepclarity.stream.files.clip import write_clip
from deepclarity.stream.files.still import Picture, write_picture

from .errors import RefusedError

_THUMBNAIL_SIZE = (176, 99)
_CLIP_FRAMES, _CLIP_RATE = 75, 25


@dataclass(frozen=True, slots=True)
class Example:
    """An example picture or clip."""

    file: str
    title: str
    block_px: float = 0
    left: int = 0
    """Left edge of the crop from the painted scene, in pixels."""


PICTURES = (
    Example("blocks-4.png", "4-pixel blocks", 4, 320),
    Example("blocks-2.5.jpg", "2.5-pixel blocks, JPEG", 2.5, 0),
    Example("blocks-8.png", "8-pixel blocks", 8, 640),
    Example("untouched.jpg", "Untouched", 0, 320),
)
CLIP = Example("clip.mp4", "Three seconds, the middle one pixelated", 4, 320)


class Examples:
    """Draws the examples in the background; `find` waits until they are ready."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start drawing, again if it failed before; needs a running event loop."""
        failed = self._task is not None and self._task.done() and (self._task.cancelled() or self._task.exception())
        if self._task is None or failed:
            self._task = asyncio.ensure_future(asyncio.to_thread(draw_examples, self._folder))

    async def find(self, name: str) -> Path:
        """The file of an example or of its thumbnail; RefusedError for any other name."""
        names = {each for item in (*PICTURES, CLIP) for each in (item.file, thumbnail_name(item))}
        if name not in names:
            raise RefusedError("There is no such example.")
        self.start()
        assert self._task is not None
        try:
            await asyncio.shield(self._task)
        except (DeepClarityError, OSError) as error:
            raise RefusedError("The examples could not be created. Use a file of your own.") from error
        return self._folder / name


def thumbnail_name(example: Example) -> str:
    """The file name of an example's thumbnail."""
    return f"{Path(example.file).stem}.thumb.jpg"


def draw_examples(folder: Path) -> None:
    """Draw all examples into `folder`, unless they exist."""
    if all((folder / thumbnail_name(item)).is_file() for item in (*PICTURES, CLIP)):
        return
    canvas = paint(2560, 1080)
    for item in PICTURES:
        picture = canvas[:, item.left : item.left + 1920]
        picture = pixelate(picture, block_px=item.block_px) if item.block_px else picture
        _write(folder / item.file, picture)
        _write(folder / thumbnail_name(item), _thumbnail(picture, item))
    frames = list(_clip(canvas))
    write_clip(folder / CLIP.file, frames, rate=_CLIP_RATE, crf=20, tone_hz=220)
    _write(folder / thumbnail_name(CLIP), _thumbnail(frames[len(frames) // 2], CLIP))


def _clip(canvas: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    for number, frame in enumerate(pan(canvas, count=_CLIP_FRAMES, width=960, height=540)):
        yield pixelate(frame, block_px=CLIP.block_px) if 25 <= number < 50 else frame


def _thumbnail(picture: NDArray[np.uint8], item: Example) -> NDArray[np.uint8]:
    """A thumbnail that shows the blocks larger than they are."""
    coarse = pixelate(picture, block_px=item.block_px * 4) if item.block_px else picture
    return np.asarray(cv2.resize(coarse, _THUMBNAIL_SIZE, interpolation=cv2.INTER_AREA), np.uint8)


def _write(path: Path, rgb: NDArray[np.uint8]) -> None:
    write_picture(path, Picture(np.ascontiguousarray(rgb[..., ::-1])))


def example_buttons(examples: tuple[Example, ...]) -> str:
    """The examples as HTML buttons; `CLICK_HANDLER_JS` reports to Gradio which one was clicked."""
    items = "".join(
        f"<button type='button' class='dc-example' data-name='{escape(item.file)}'>"
        f"<img src='/examples/{thumbnail_name(item)}' alt='' width='{_THUMBNAIL_SIZE[0]}' "
        f"height='{_THUMBNAIL_SIZE[1]}' loading='lazy'>"
        f"<span>{escape(item.title)}</span></button>"
        for item in examples
    )
    return (
        f"<div class='dc-examples' role='group' aria-label='Examples' style='--n: {max(2, len(examples))}'>"
        f"<p>Or try an example</p><div>{items}</div></div>"
    )


CLICK_HANDLER_JS = (
    "element.addEventListener('click', event => {"
    "const chosen = event.target.closest('.dc-example');"
    "if (chosen) trigger('click', {name: chosen.dataset.name}); });"
)
