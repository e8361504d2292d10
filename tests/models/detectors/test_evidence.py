"""The evidence that `--explain` draws."""

from __future__ import annotations

import numpy as np
import pytest

from deepclarity.models.detectors.evidence import evidence
from deepclarity.models.detectors.grid import Grid
from deepclarity.models.verdict import Blocks
from deepclarity.pipelines.demo.scene import pixelate
from tests.models.detectors.test_grid import scene


@pytest.mark.parametrize(("block_px", "phase"), [(4, 0.0), (6, 2.0), (2.5, 0.75)])
def test_gradients_pile_up_at_block_edges(block_px: float, phase: float) -> None:
    luma = pixelate(scene(), block_px=block_px, phase=(phase, 0.0))
    seen = evidence(luma)
    assert seen.x is not None
    assert seen.x.period_px == pytest.approx(block_px, rel=1e-3)
    assert len(seen.x.steps) == int(np.ceil(block_px))
    assert seen.x.steps[0] > 0 > seen.x.steps[1:].max()


def test_heat_is_where_the_blocks_are() -> None:
    luma = scene()
    luma[:, :320] = pixelate(luma, block_px=4)[:, :320]
    heat = evidence(luma, Grid()(luma).blocks).heat
    assert heat.shape == (15, 20)
    assert heat[:, :10].mean() > 0.6
    assert heat[:, 10:].mean() < 0.1
    assert 0 <= heat.min() <= heat.max() <= 1


def test_blocks_of_a_verdict_are_folded_as_they_are() -> None:
    luma = pixelate(scene(), block_px=4)
    beside = evidence(luma, Blocks(4, 4, 2, 2))
    assert beside.x is not None
    assert (beside.x.period_px, beside.x.phase_px) == (4, 2)
    assert int(beside.x.steps.argmax()) == 2
    assert beside.heat.max() < 0.1


def test_ten_bits_are_only_another_scale() -> None:
    luma = pixelate(scene(), block_px=4)
    eight, ten = evidence(luma), evidence(luma.astype(np.uint16) * 4, max_value=1020)
    np.testing.assert_allclose(ten.heat, eight.heat, atol=1e-3)
    assert eight.x is not None
    assert ten.x is not None
    np.testing.assert_allclose(ten.x.steps, eight.x.steps, rtol=1e-2, atol=1e-3)


def test_a_flat_picture_shows_nothing() -> None:
    seen = evidence(np.full((64, 96), 90, np.uint8))
    assert seen.x is None
    assert seen.y is None
    assert (seen.heat == 0).all()
