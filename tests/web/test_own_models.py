"""Model files in the web app: offered from one folder, by name, and nothing else can be loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deepclarity.cli.app import run
from deepclarity.errors import UsageError, WeightsError
from deepclarity.models.enhancer import PlanesEnhancer
from deepclarity.web.errors import RefusedError
from deepclarity.web.jobs import VideoOptions
from deepclarity.web.messages import error_message
from deepclarity.web.model_cache import ModelCache, Tiers
from deepclarity.web.pages.correct import tier_choices
from tests.models.external.models import network, save


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    save(folder / "2x-compact.pth", network("compact"))
    save(tmp_path / "secret.pth", network("compact"))
    return folder


def test_the_models_of_the_folder_are_offered_by_name(folder: Path) -> None:
    tiers = Tiers.with_folder(folder)
    assert "2x-compact.pth" in [name for _, name in tier_choices(tiers)]
    options = VideoOptions.parse("2x-compact.pth", False, True, "mp4", tiers=tiers)
    assert options.tier == str(folder.resolve() / "2x-compact.pth")
    assert VideoOptions.parse("auto", False, True, "mp4", tiers=tiers).tier == "auto"


def test_a_model_file_enlarges_luma_and_chroma_together(folder: Path) -> None:
    models = ModelCache(device="cpu", tiers=Tiers.with_folder(folder))
    enhancer = models.enhancer("2x-compact.pth")
    assert isinstance(enhancer, PlanesEnhancer)
    plane = np.full((20, 30), 128, np.uint8)
    assert [large.shape for large in enhancer.enlarge_planes((plane, plane, plane), scale=2)] == [(40, 60)] * 3
    models.close()


@pytest.mark.parametrize("name", ["../secret.pth", "secret.pth", "models/2x-compact.pth", "/etc/passwd", "", None, 5])
def test_no_other_file_can_be_loaded(folder: Path, name: object) -> None:
    tiers = Tiers.with_folder(folder)
    with pytest.raises(RefusedError, match="There is no such tier"):
        ModelCache(device="cpu", tiers=tiers).enhancer(name)
    with pytest.raises(RefusedError, match="There is no such tier"):
        VideoOptions.parse(name, False, True, "mp4", tiers=tiers)
    absolute = str(folder / "2x-compact.pth")
    with pytest.raises(RefusedError, match="There is no such tier"):
        VideoOptions.parse(absolute, False, True, "mp4")


def test_a_folder_that_is_missing_is_an_error_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        Tiers.with_folder(tmp_path / "nothing")
    assert run(["web", "--models-folder", str(tmp_path / "nothing")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_model_that_cannot_be_loaded_is_said_without_its_path() -> None:
    assert error_message(WeightsError("/srv/models/x.pth: damaged")) == (
        "The server cannot load this model. Choose another tier."
    )
