"""Frames through a video codec, for datasets."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np

from deepclarity.models.verdict import Bytes
from deepclarity.stream.files.recode import recode

from .degrade import Photo


def recoded(
    frames: list[Photo], codec: str, quantiser: int, *, speed: str = "veryfast", deblock: bool = True
) -> list[Photo]:
    """`frames` after encoding with a constant quantiser and decoding; `speed`, `deblock`: as for `recode`."""
    frames = [each_plane(frame, lambda plane, _: plane) for frame in frames]
    return cast("list[Photo]", recode(frames, codec=codec, crf=quantiser, speed=speed, constant=True, deblock=deblock))


def each_plane(photo: Photo, change: Callable[[Bytes, int], object]) -> Photo:
    """`change` on every plane, given its subsampling; contiguous."""
    luma, blue, red = (
        np.ascontiguousarray(cast("Bytes", change(plane, ratio))) for plane, ratio in zip(photo, (1, 2, 2), strict=True)
    )
    return luma, blue, red
