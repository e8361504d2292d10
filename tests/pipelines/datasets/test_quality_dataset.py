"""Dataset of pictures with a known past."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from deepclarity.models.verdict import Kind
from deepclarity.pipelines.datasets import quality_dataset
from deepclarity.pipelines.datasets.photos import Split, find_source_images
from deepclarity.pipelines.datasets.quality_dataset import CODECS, QualityDataset
from tests.tiny_recipes import drawing


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> QualityDataset:
    monkeypatch.setattr(quality_dataset, "SIZES", ((256, 144), (320, 180)))
    for number in range(20):
        cv2.imwrite(str(tmp_path / f"{number:02}.png"), drawing(number, 480))
    return QualityDataset(find_source_images(tmp_path, Split.TRAIN))


def test_pictures_depend_on_their_index_alone(dataset: QualityDataset) -> None:
    assert all(np.array_equal(dataset.at(index).luma, dataset.at(index).luma) for index in range(6))


def test_labels_agree_with_each_other(dataset: QualityDataset) -> None:
    seen = [dataset.at(index) for index in range(40)]
    assert {sample.kind for sample in seen} == {Kind.CLEAN, Kind.SOFT, Kind.BLOCKY}
    assert len({sample.codec for sample in seen}) > len(CODECS) / 2
    for sample in seen:
        assert sample.luma.shape in ((144, 256), (180, 320))
        assert (sample.factors == (1.0, 1.0)) == (sample.kind is not Kind.SOFT)
        assert (sample.qp == 0) == (sample.codec == "none")
        if sample.kind is Kind.BLOCKY and sample.codec in ("h264", "hevc"):
            assert sample.qp >= 31
