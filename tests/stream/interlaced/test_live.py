"""Deinterlacing of live pictures."""

from __future__ import annotations

import itertools

import numpy as np
from av.video.frame import VideoFrame

from deepclarity.stream.interlaced.bwdif import FieldLabel
from deepclarity.stream.interlaced.combs import comb_score
from deepclarity.stream.interlaced.live import LiveDeinterlacer
from deepclarity.stream.interlaced.modes import FieldOrder
from deepclarity.stream.planes import picture_of, planes_of
from tests.interlaced_clips import Grey, interlaced, moving_bars, position


def picture(grey: Grey, order: FieldOrder | None = None) -> VideoFrame:
    chroma = np.full((grey.shape[0] // 2, grey.shape[1] // 2), 128, np.uint8)
    made = picture_of((grey, chroma, chroma), "yuv420p")
    return made if order is None else FieldLabel()(made, order)


def luma(shown: VideoFrame) -> Grey:
    return np.ascontiguousarray(planes_of(shown)[0]).astype(np.uint8)


def test_interlaced_pictures_come_one_later_and_progressive() -> None:
    live, order = LiveDeinterlacer(), FieldOrder.BOTTOM
    shown = [live.push(picture(grey, order)) for grey in interlaced(6, order)]
    assert [len(each) for each in shown] == [0, 1, 1, 1, 1, 1]
    made = [luma(each) for pictures in (*shown, live.flush()) for each in pictures]
    assert len(made) == 6
    assert max(comb_score(b, a) for a, b in itertools.pairwise(made)) < 0.05
    places = [position(each) * 192 for each in made]
    assert np.allclose(np.diff(places), 6, atol=0.6)


def test_progressive_pictures_are_neither_delayed_nor_copied() -> None:
    live = LiveDeinterlacer()
    for number in range(4):
        sent = picture(moving_bars(2 * number))
        assert live.push(sent) == [sent]


def test_a_change_of_size_loses_no_picture() -> None:
    live, order = LiveDeinterlacer(), FieldOrder.TOP
    greys = [*interlaced(3), *interlaced(3, size=(96, 64)), *interlaced(2)]  # type: ignore[arg-type]
    shown = [each for grey in greys for each in live.push(picture(grey, order))] + live.flush()
    assert [each.width for each in shown] == [192] * 3 + [96] * 3 + [192] * 2


def test_interlaced_pictures_without_motion_pass_bit_for_bit() -> None:
    live, still = LiveDeinterlacer(), moving_bars(3)
    shown = [each for _ in range(3) for each in live.push(picture(still, FieldOrder.TOP))] + live.flush()
    assert all((luma(each) == still).all() for each in shown)
    assert not any(each.interlaced_frame for each in shown)
