"""One picture that shows what was measured: input, output and target below each other, as papers print them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from deepclarity.models.enhancer import Enhancer
from deepclarity.models.metrics import Bytes
from deepclarity.pipelines.evaluation.pictures import SCALE, PictureSet, by_tier, enlarged, read_pair
from deepclarity.stream.files.still import Picture

_CELL_PX = 224
_GAP_PX = 6
_MARGIN_PX = 8
_HEAD_PX = 24
_MOST_COLUMNS = 8
_INK = (32, 32, 32)
_FONT, _SIZE = cv2.FONT_HERSHEY_SIMPLEX, 0.5


def contact_sheet(chosen: PictureSet, tiers: Sequence[Enhancer]) -> Picture:
    """The middle of up to 8 pictures of `chosen`, a column each: input, one row for every tier, target."""
    rows: dict[str, list[Bytes]] = {}
    pairs = chosen.pairs[:_MOST_COLUMNS]
    for pair in pairs:
        large, small = read_pair(pair)
        rows.setdefault("input", []).append(small.repeat(SCALE, axis=0).repeat(SCALE, axis=1))
        for tier in tiers:
            rows.setdefault(f"output|{tier.name}", []).append(enlarged(small, by_tier(tier))[1])
        rows.setdefault("target", []).append(large)
    return Picture(np.ascontiguousarray(lay_out(rows, [large.stem for large, _ in pairs])[..., ::-1]))


def lay_out(rows: Mapping[str, Sequence[Bytes]], names: Sequence[str]) -> Bytes:
    """The middles of pictures, uint8 (height, width, 3) RGB, in labelled rows under `names`, on white.

    A `|` in a row's label begins a new line.
    """
    step = _CELL_PX + _GAP_PX
    margin = 2 * _MARGIN_PX + max(_width(words) for label in rows for words in label.split("|"))
    height, width = _HEAD_PX + len(rows) * step, margin + len(names) * step
    sheet = np.full((height, width, 3), 255, np.uint8)
    for column, name in enumerate(names):
        _write(sheet, name, x=margin + column * step, y=_HEAD_PX - 8)
    for row, (label, pictures) in enumerate(rows.items()):
        top = _HEAD_PX + row * step
        for line, words in enumerate(label.split("|")):
            _write(sheet, words, x=_MARGIN_PX, y=top + _CELL_PX // 2 + 20 * line)
        for column, picture in enumerate(pictures):
            part, left = _middle(picture), margin + column * step
            sheet[top : top + part.shape[0], left : left + part.shape[1]] = part
    return sheet


def _middle(picture: Bytes) -> Bytes:
    """At most a cell's worth, cut on whole input pixels."""
    top, left = (max(0, side - _CELL_PX) // (2 * SCALE) * SCALE for side in picture.shape[:2])
    return picture[top : top + _CELL_PX, left : left + _CELL_PX]


def _write(sheet: Bytes, text: str, *, x: int, y: int) -> None:
    cv2.putText(sheet, _plain(text), (x, y), _FONT, _SIZE, _INK, 1, cv2.LINE_AA)


def _width(text: str) -> int:
    return int(cv2.getTextSize(_plain(text), _FONT, _SIZE, 1)[0][0])


def _plain(text: str) -> str:
    return text.encode("ascii", "replace").decode()  # OpenCV's letters go no further
