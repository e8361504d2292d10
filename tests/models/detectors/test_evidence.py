"""Evidence of blocks, as drawn by `--explain`."""

from __future__ import annotations

import numpy as np
import pytest

from deepclarity.models.detectors.evidence import evidence
from deepclarity.models.detectors.grid import Grid
from deepclarity.models.verdict import Blocks
from deepclarity.pipelines.demo.scene import pixelate
from tests.models.detectors.test_grid import scene


@pytest.mark.parametrize(("block_px", "phase"), [(4, 0.0), (6, 2.0), (2.5, 0.75)])
def test_folded_gradients_peak_at_block_edges(block_px: float, phase: float) -> None:
    luma = pixelate(scene(), block_px=block_px, phase=(phase, 0.0))
    found = evidence(luma)
    assert found.x is not None
    assert found.x.period_px == pytest.approx(block_px, rel=1e-3)
    assert len(found.x.gradients) == int(np.ceil(block_px))
    assert found.x.gradients[0] > 0 > found.x.gradients[1:].max()


def test_heat_map_is_high_only_on_the_pixelated_half() -> None:
    luma = scene()
    luma[:, :320] = pixelate(luma, block_px=4)[:, :320]
    heat = evidence(luma, Grid()(luma).blocks).heat
    assert heat.shape == (15, 20)
    assert heat[:, :10].mean() > 0.6
    assert heat[:, 10:].mean() < 0.1
    assert 0 <= heat.min() <= heat.max() <= 1


def test_given_blocks_are_used_for_folding() -> None:
    luma = pixelate(scene(), block_px=4)
    shifted = evidence(luma, Blocks(4, 4, 2, 2))
    assert shifted.x is not None
    assert (shifted.x.period_px, shifted.x.phase_px) == (4, 2)
    assert int(shifted.x.gradients.argmax()) == 2
    assert shifted.heat.max() < 0.1


def test_10_bit_luma_gives_the_same_evidence_as_8_bit() -> None:
    luma = pixelate(scene(), block_px=4)
    eight, ten = evidence(luma), evidence(luma.astype(np.uint16) * 4, max_value=1020)
    np.testing.assert_allclose(ten.heat, eight.heat, atol=1e-3)
    assert eight.x is not None
    assert ten.x is not None
    np.testing.assert_allclose(ten.x.gradients, eight.x.gradients, rtol=1e-2, atol=1e-3)


def test_flat_picture_has_no_evidence() -> None:
    found = evidence(np.full((64, 96), 90, np.uint8))
    assert found.x is None
    assert found.y is None
    assert (found.heat == 0).all()
