"""The harm protocol: every damage through the pipeline, measured against the input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deepclarity.errors import SourceError
from deepclarity.models.detectors import load_detector
from deepclarity.models.load import load_enhancer
from deepclarity.models.verdict import Blocks, Kind, Verdict
from deepclarity.pipelines.evaluation.harm import DAMAGES, harm
from deepclarity.pipelines.evaluation.scores import Row


def rows(clip: Path, detector: object, tier: str = "turbo") -> dict[str, Row]:
    found = harm(
        [clip],
        [load_enhancer(tier, device="cpu")],
        detector=detector,
        frames=2,
        notify=lambda text: None,  # type: ignore[arg-type]
    )
    return {row.group: row for row in found}


def test_every_damage_is_measured_and_no_frame_gets_worse(make_clip: Callable[..., Path]) -> None:
    found = rows(make_clip(count=8, size=(384, 256)), load_detector("lattice-net"))
    assert list(found) == list(DAMAGES)
    assert all(row.scores.worst_gain_y > -0.05 for row in found.values())  # type: ignore[operator]
    assert found["×4 crf 28"].scores.gain_y > 0.1  # type: ignore[operator]
    assert found["none, h264 crf 20"].scores.tiles_lost == 0


def test_detector_that_is_always_wrong_does_no_harm(make_clip: Callable[..., Path]) -> None:
    class Wrong:
        name = "wrong"

        def __call__(self, luma: object, *, max_value: int = 255, chroma: object = None) -> Verdict:
            return Verdict(1.0, Kind.PIXELATED, Blocks(6, 6))

    found = rows(make_clip(count=8, size=(384, 256)), Wrong(), "lanczos")
    gains = [row.scores.worst_gain_y for row in found.values()]
    assert min(float(gain) for gain in gains if gain is not None) > -0.05
    assert np.isfinite([float(gain) for gain in gains if gain is not None]).all()


def test_no_usable_clip_raises_source_error(tmp_path: Path) -> None:
    path = tmp_path / "words.mp4"
    path.write_text("no video")
    with pytest.raises(SourceError, match="none of 1 clips can be used"):
        rows(path, load_detector("grid"))
