"""Contact sheet: a labelled grid of picture crops, such as input, output and target below each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from deepclarity.models.verdict import Bytes

_CELL_PX = 224
_GAP_PX = 6
_MARGIN_PX = 8
_HEAD_PX = 24
MAX_COLUMNS = 8
"""Columns that fit on a sheet of readable width."""
_INK = (32, 32, 32)
_FONT, _SIZE = cv2.FONT_HERSHEY_SIMPLEX, 0.5


def contact_sheet(rows: Mapping[str, Sequence[Bytes]], names: Sequence[str], *, align_px: int = 1) -> Bytes:
    """Arrange the centres of pictures, uint8 (height, width, 3) RGB, in labelled rows below `names`, on white.

    A `|` in a row's label starts a new line. `align_px`: crops start at multiples of this, so that the pixels of an
    enlarged input stay complete.
    """
    step = _CELL_PX + _GAP_PX
    margin = 2 * _MARGIN_PX + max(_text_width(line) for label in rows for line in label.split("|"))
    height, width = _HEAD_PX + len(rows) * step, margin + len(names) * step
    sheet = np.full((height, width, 3), 255, np.uint8)
    for column, name in enumerate(names):
        _write(sheet, name, x=margin + column * step, y=_HEAD_PX - 8)
    for row, (label, pictures) in enumerate(rows.items()):
        top = _HEAD_PX + row * step
        for number, line in enumerate(label.split("|")):
            _write(sheet, line, x=_MARGIN_PX, y=top + _CELL_PX // 2 + 20 * number)
        for column, picture in enumerate(pictures):
            crop, left = _centre_crop(picture, align_px), margin + column * step
            sheet[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
    return sheet


def _centre_crop(picture: Bytes, align_px: int) -> Bytes:
    """The centre of `picture`, at most one cell large, starting at a multiple of `align_px`."""
    top, left = (max(0, side - _CELL_PX) // (2 * align_px) * align_px for side in picture.shape[:2])
    return picture[top : top + _CELL_PX, left : left + _CELL_PX]


def _write(sheet: Bytes, text: str, *, x: int, y: int) -> None:
    cv2.putText(sheet, _ascii(text), (x, y), _FONT, _SIZE, _INK, 1, cv2.LINE_AA)


def _text_width(text: str) -> int:
    return int(cv2.getTextSize(_ascii(text), _FONT, _SIZE, 1)[0][0])


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()  # OpenCV's fonts have only ASCII
