"""Comb measure: whether the two fields of a picture show different moments.

Where something moved between the fields, a row differs from the rows above and below it, which belong to the other
field, and resembles the next rows of its own. The measure counts such samples in blocks. The same count with all
distances doubled, so within fields, is subtracted: fine textures give both, combs only the first. Samples that have
not changed since the previous picture do not count: no motion, no combs.
"""

from __future__ import annotations

import cv2
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

Luma = NDArray[np.uint8]
"""Luma samples, (height, width): all rows, but only some columns."""

PLAIN = 0.25
"""Comb score from which a picture is interlaced though nothing says so; progressive ones stay below 0.12."""
SLIGHT = 0.08
"""Comb score from which a picture is, if the decoder says that it is interlaced or those around it are."""

_MAX_COLUMNS = 640
"""Columns beyond this number are sampled: combs are as high as the picture and as wide as the motion."""
_BLOCK = 16
_THRESHOLD = 6
"""Levels, of 255, by which a comb must stand out: coding noise is below."""
_MOTION_ROWS = 5


def sample_luma(picture: VideoFrame) -> Luma:
    """The luma of `picture` as 8 bits: all rows, and about 320 to 640 columns if it is wider."""
    step = max(1, picture.width // _MAX_COLUMNS)
    form = picture.format
    if form.is_rgb or form.has_palette or not form.is_planar or form.is_big_endian:
        grey = picture.reformat(format="gray").to_ndarray()
        return np.ascontiguousarray(grey[:, ::step])
    plane, bits = picture.planes[0], form.components[0].bits
    if bits == 8:
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
        return np.ascontiguousarray(rows[:, : plane.width : step])
    words = np.frombuffer(memoryview(plane), np.uint16).reshape(plane.height, plane.line_size // 2)
    in_high_bits = form.name.startswith("p0")  # P010 and its like
    return (words[:, : plane.width : step] >> (8 if in_high_bits else bits - 8)).astype(np.uint8)


def comb_score(luma: Luma, previous: Luma | None) -> float:
    """The share of combed samples, 0..1, in the block that has the most. `previous`: the picture before, if any."""
    if luma.shape[0] < 2 * _BLOCK or luma.shape[1] < _BLOCK:
        return 0.0
    between = _combed(luma, 1)[2:-2]
    at_most = float(_block_shares(between).max())
    if at_most < SLIGHT:
        return at_most
    within = _combed(luma, 2)
    if previous is not None and previous.shape == luma.shape:
        moved = _moved(luma, previous)[4:-4]
        between, within = between & moved, within & moved
    return float((_block_shares(between) - _block_shares(within)).max())


def comb_energy(luma: Luma) -> float:
    """The sum over the picture of squared levels by which combs stand out: larger, the further the fields are apart."""
    return float(cv2.norm(_standing_out(luma, 1), cv2.NORM_L2SQR))


def weave(top: Luma, bottom: Luma) -> Luma:
    """The even rows of `top` between the odd rows of `bottom`."""
    woven = top.copy()
    woven[1::2] = bottom[1::2]
    return woven


def field_changes(luma: Luma, previous: Luma) -> tuple[float, float]:
    """Mean squared change of the (top, bottom) field since the previous picture, in levels of 255.

    Squares let motion outweigh coding noise, which is smaller but everywhere.
    """
    change = cv2.threshold(cv2.absdiff(luma, previous), _THRESHOLD // 2, 255, cv2.THRESH_TOZERO)[1]
    if len(change) < 2:  # a single row has one field
        return 0.0, 0.0
    top, bottom = (cv2.norm(change[first::2], cv2.NORM_L2SQR) / change[first::2].size for first in (0, 1))
    return top, bottom


def _combed(luma: Luma, distance: int) -> Luma:
    """1 where a sample is combed, else 0; the result lacks the first and the last 2 * `distance` rows."""
    return cv2.threshold(_standing_out(luma, distance), 0, 1, cv2.THRESH_BINARY)[1]  # type: ignore[return-value]


def _standing_out(luma: Luma, distance: int) -> Luma:
    """By how much a sample stands out from both rows at `distance`, more than from those at twice the distance."""
    far, rows = 2 * distance, luma.shape[0]
    sample = luma[far : rows - far]
    above, below = luma[far - distance : rows - far - distance], luma[far + distance : rows - far + distance]
    out = cv2.max(cv2.subtract(sample, cv2.max(above, below)), cv2.subtract(cv2.min(above, below), sample))
    own = cv2.max(cv2.absdiff(sample, luma[: rows - 2 * far]), cv2.absdiff(sample, luma[2 * far :]))
    return cv2.threshold(cv2.subtract(out, own), _THRESHOLD, 255, cv2.THRESH_TOZERO)[1]  # type: ignore[return-value]


def _moved(luma: Luma, previous: Luma) -> Luma:
    """1 where a sample or a near one of its column has changed, else 0."""
    changed = cv2.threshold(cv2.absdiff(luma, previous), _THRESHOLD, 1, cv2.THRESH_BINARY)[1]
    return cv2.dilate(changed, np.ones((_MOTION_ROWS, 1), np.uint8))  # type: ignore[return-value]


def _block_shares(mask: Luma) -> NDArray[np.float32]:
    """The share of ones in each block, (rows of blocks, columns of blocks)."""
    down, across = mask.shape[0] // _BLOCK, mask.shape[1] // _BLOCK
    cropped = np.ascontiguousarray(mask[: down * _BLOCK, : across * _BLOCK]) * np.uint8(255)
    return cv2.resize(cropped, (across, down), interpolation=cv2.INTER_AREA) / np.float32(255)
