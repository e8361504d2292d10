"""Local repair: untouched samples stay bit for bit, false verdicts change nothing, and the mask is steady in time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from deepclarity.models.block_map import BlockMap, Floats
from deepclarity.models.load import load_enhancer
from deepclarity.models.verdict import Blocks, Kind, Plane, Verdict
from deepclarity.pipelines.blend import MaskTracker, RepairMask, blend, map_of, repair_mask, restore_locally
from deepclarity.pipelines.correct import correct
from deepclarity.pipelines.demo.scene import paint, pan, pixelate
from deepclarity.pipelines.detect import Scored
from deepclarity.pipelines.enhance import enhance
from deepclarity.pipelines.executor import CpuExecutor
from deepclarity.pipelines.fit import Fit
from deepclarity.pipelines.records import Lane, Summary
from deepclarity.pipelines.restore import restore
from deepclarity.pipelines.route import Routed
from deepclarity.pipelines.upscale import Job, upscale
from deepclarity.stream.files.clip import write_clip
from deepclarity.stream.files.still import Picture
from deepclarity.stream.frame import Frame, Planes

SIZE = 640, 360


def planes(*, part: bool = False, blocks: bool = True) -> Planes:
    """The harbour in 4:2:0, entirely or partly in blocks of 4."""
    picture = paint(*SIZE)
    blocked = pixelate(picture, block_px=4)
    if part:
        mixed = picture.copy()
        mixed[96:288, 160:480] = blocked[96:288, 160:480]
        picture = mixed
    elif blocks:
        picture = blocked
    luma, blue, red = (np.ascontiguousarray(picture[..., channel]) for channel in (1, 2, 0))
    return luma, np.ascontiguousarray(blue[::2, ::2]), np.ascontiguousarray(red[::2, ::2])


def mask_of(share: Floats) -> RepairMask:
    height, width = share.shape
    return RepairMask(share, np.arange(width) * 4, np.arange(height) * 4, (width * 4, height * 4), Blocks(4, 4))


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.uint16, 1023)])
def test_blend_keeps_samples_bit_for_bit_outside_and_takes_the_repair_inside(dtype: type, top: int) -> None:
    rng = np.random.default_rng(3)
    before, after = (
        (rng.integers(0, top + 1, (80, 120)).astype(dtype), *(rng.integers(0, top + 1, (40, 60)).astype(dtype),) * 2)
        for _ in range(2)
    )
    share = np.zeros((20, 30), np.float32)
    share[:, 15:] = 1
    mixed = blend(before, after, mask_of(share))
    assert np.array_equal(mixed[0][:, :58], before[0][:, :58])
    assert np.array_equal(mixed[0][:, 62:], after[0][:, 62:])
    assert np.array_equal(mixed[1][:, :28], before[1][:, :28])
    assert np.array_equal(mixed[2][:, 32:], after[2][:, 32:])
    assert mixed[0].dtype == dtype


def test_full_mask_is_the_repair_itself() -> None:
    before, after = planes(), planes(blocks=False)
    assert blend(before, after, mask_of(np.ones((90, 160), np.float32))) is after


def test_weights_follow_another_output_size() -> None:
    share = np.zeros((20, 30), np.float32)
    share[:, 15:] = 1
    weights = mask_of(share).weights((240, 160))
    assert weights.shape == (160, 240)
    assert (weights[:, :110] == 0).all()
    assert (weights[:, 130:] == 255).all()


def test_part_in_blocks_is_repaired_and_the_rest_is_unchanged() -> None:
    broken, clean = planes(part=True), planes(blocks=False)
    enhancer = load_enhancer("turbo", device="cpu")
    repaired = restore_locally(broken, enhancer=enhancer, blocks=Blocks(4, 4), size=SIZE, max_value=255)
    assert repaired is not None
    inside = np.zeros(SIZE[::-1], np.bool_)
    inside[96:288, 160:480] = True
    outside = ~cv2.dilate(inside.astype(np.uint8), np.ones((41, 41))).astype(bool)
    changed = (repaired[0] != broken[0]) & outside
    assert changed.mean() < 0.005
    everywhere = restore(broken, enhancer=enhancer, blocks=Blocks(4, 4), size=SIZE, max_value=255)
    before, local, complete = (
        float(((each[0].astype(float) - clean[0])[inside] ** 2).mean()) for each in (broken, repaired, everywhere)
    )
    assert before - local > 0.9 * (before - complete) > 0


def test_false_verdict_repairs_nothing() -> None:
    clean = planes(blocks=False)
    enhancer = load_enhancer("lanczos")
    assert restore_locally(clean, enhancer=enhancer, blocks=Blocks(4, 4), size=SIZE, max_value=255) is None


class Always:
    """A detector that calls every picture pixelated."""

    name = "always"

    def __call__(self, luma: object, *, max_value: int = 255, chroma: object = None) -> Verdict:
        return Verdict(1.0, Kind.PIXELATED, Blocks(5, 5))


def test_correct_returns_the_picture_itself_if_its_verdict_is_not_borne_out() -> None:
    picture = Picture(np.ascontiguousarray(paint(*SIZE)[..., ::-1]))
    result = correct(picture, detector=Always(), enhancer=load_enhancer("lanczos"))
    assert result.picture is picture
    assert not result.repaired
    assert correct(picture, detector=Always(), enhancer=load_enhancer("lanczos"), force=True).repaired


def routed(frame_planes: Planes, blocks: Blocks, *, always: bool = False) -> Routed:
    frame = Frame(frame_planes, index=0, pts=0, time_base=1)  # type: ignore[arg-type]
    return Routed(Scored(frame, Verdict(1.0, Kind.PIXELATED, blocks), cut=True), Lane.ENHANCE, blocks, always=always)


def test_frame_whose_blocks_are_not_borne_out_passes_unchanged() -> None:
    summary, item = Summary(), routed(planes(blocks=False), Blocks(4, 4))
    (done,) = enhance([item], CpuExecutor(load_enhancer("lanczos")), Fit(SIZE, SIZE, SIZE), summary)
    assert done.frame is item.frame
    assert done.routed.lane is Lane.PASS
    assert (summary.passed, summary.repaired) == (1, 0)


def test_all_enhances_a_frame_whose_blocks_are_not_borne_out_without_them() -> None:
    summary, item = Summary(), routed(planes(blocks=False), Blocks(4, 4), always=True)
    (done,) = enhance([item], CpuExecutor(load_enhancer("lanczos")), Fit((1280, 720), (1280, 720), SIZE), summary)
    assert done.routed.lane is Lane.ENHANCE
    assert done.frame.size == (1280, 720)


def test_small_areas_are_repaired_amid_a_large_one_only() -> None:
    share = np.zeros((40, 60), np.float32)
    share[4:30, 4:30] = 1
    share[10:20, 10:20] = 0
    share[14:16, 14:16] = 1  # an island in a hole, as writing leaves it
    share[30:32, 50:52] = 1  # one far away
    found = BlockMap(share, 0.5, np.arange(60) * 4, np.arange(40) * 4, (240, 160))
    expected = share.copy()
    expected[30:32, 50:52] = 0
    np.testing.assert_array_equal(repair_mask(found, Blocks(4, 4)).share, expected)


def test_mask_rises_slowly_and_falls_at_once() -> None:
    broken, clean = planes()[0], planes(blocks=False)[0]
    full = repair_mask(map_of(broken, Blocks(4, 4)), Blocks(4, 4)).share
    tracker = MaskTracker()

    def share(luma: Plane, *, cut: bool = False) -> Floats:
        return tracker.next(map_of(luma, Blocks(4, 4)), Blocks(4, 4), cut=cut).share

    assert share(clean).max() < 0.5
    risen = [share(broken) for _ in range(4)]
    assert risen[0].max() < 0.9
    assert np.array_equal(risen[3], full)
    assert share(clean).mean() < 0.02
    assert np.array_equal(share(broken, cut=True), full)


def test_clip_with_blocks_in_a_part_keeps_the_other_part(make_clip: Callable[..., Path], tmp_path: Path) -> None:
    frames = []
    for picture in pan(paint(1280, 540), count=12, width=640, height=360):
        mixed = picture.copy()
        mixed[:, 320:] = pixelate(picture, block_px=4)[:, 320:]
        frames.append(mixed)
    path = tmp_path / "part.mp4"
    write_clip(path, iter(frames), rate=25, crf=16)
    summary = upscale(Job(path, tmp_path / "out.mp4"))
    assert (summary.frames_in, summary.frames_out) == (12, 12)
