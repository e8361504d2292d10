"""Pictures and a clip to try things with, drawn by the project itself when the server starts."""

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

from .messages import RefusedError

_THUMB = (176, 99)
_CLIP_FRAMES, _RATE = 75, 25


@dataclass(frozen=True, slots=True)
class Example:
    """One of them."""

    file: str
    title: str
    block_px: float = 0
    left: int = 0
    """Where in the painting it is cut out."""


PICTURES = (
    Example("blocks-4.png", "4-pixel blocks", 4, 320),
    Example("blocks-2.5.jpg", "2.5-pixel blocks, JPEG", 2.5, 0),
    Example("blocks-8.png", "8-pixel blocks", 8, 640),
    Example("untouched.jpg", "Untouched", 0, 320),
)
CLIP = Example("clip.mp4", "Three seconds, the middle one in blocks", 4, 320)


class Examples:
    """Made in the background; whoever asks sooner waits."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._made: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Start making them; needs a running event loop."""
        failed = self._made is not None and self._made.done() and (self._made.cancelled() or self._made.exception())
        if self._made is None or failed:
            self._made = asyncio.ensure_future(asyncio.to_thread(make, self._folder))

    async def find(self, name: str) -> Path:
        """The file of an example, or its thumbnail; RefusedError for any other name."""
        known = {each for item in (*PICTURES, CLIP) for each in (item.file, thumb_of(item))}
        if name not in known:
            raise RefusedError("There is no such example.")
        self.begin()
        assert self._made is not None
        try:
            await asyncio.shield(self._made)
        except (DeepClarityError, OSError) as error:
            raise RefusedError("The examples cannot be made here. Take a picture of your own.") from error
        return self._folder / name


def thumb_of(example: Example) -> str:
    """The file name of an example's thumbnail."""
    return f"{Path(example.file).stem}.thumb.jpg"


def make(folder: Path) -> None:
    """Draw what is not there yet."""
    if all((folder / thumb_of(item)).is_file() for item in (*PICTURES, CLIP)):
        return
    canvas = paint(2560, 1080)
    for item in PICTURES:
        picture = canvas[:, item.left : item.left + 1920]
        picture = pixelate(picture, block_px=item.block_px) if item.block_px else picture
        _write(folder / item.file, picture)
        _write(folder / thumb_of(item), _small(picture, item))
    frames = list(_clip(canvas))
    write_clip(folder / CLIP.file, frames, rate=_RATE, crf=20, tone_hz=220)
    _write(folder / thumb_of(CLIP), _small(frames[len(frames) // 2], CLIP))


def _clip(canvas: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    for number, frame in enumerate(pan(canvas, count=_CLIP_FRAMES, width=960, height=540)):
        yield pixelate(frame, block_px=CLIP.block_px) if 25 <= number < 50 else frame


def _small(picture: NDArray[np.uint8], item: Example) -> NDArray[np.uint8]:
    """A thumbnail that shows the blocks larger than they are."""
    coarse = pixelate(picture, block_px=item.block_px * 4) if item.block_px else picture
    return np.asarray(cv2.resize(coarse, _THUMB, interpolation=cv2.INTER_AREA), np.uint8)


def _write(path: Path, rgb: NDArray[np.uint8]) -> None:
    write_picture(path, Picture(np.ascontiguousarray(rgb[..., ::-1])))


def buttons_of(examples: tuple[Example, ...]) -> str:
    """The examples as buttons; `CLICKED` tells Gradio which."""
    items = "".join(
        f"<button type='button' class='dc-example' data-name='{escape(item.file)}'>"
        f"<img src='/examples/{thumb_of(item)}' alt='' width='{_THUMB[0]}' height='{_THUMB[1]}' loading='lazy'>"
        f"<span>{escape(item.title)}</span></button>"
        for item in examples
    )
    return (
        f"<div class='dc-examples' role='group' aria-label='Examples' style='--n: {max(2, len(examples))}'>"
        f"<p>Or try an example</p><div>{items}</div></div>"
    )


CLICKED = (
    "element.addEventListener('click', event => {"
    "const chosen = event.target.closest('.dc-example');"
    "if (chosen) trigger('click', {name: chosen.dataset.name}); });"
)
