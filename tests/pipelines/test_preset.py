"""Presets: strict validation, with suggestions for misspelled keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepclarity.errors import UsageError
from deepclarity.pipelines.preset import Preset, load_preset, preset_from, preset_names
from deepclarity.pipelines.route import FrameSelection


def test_every_shipped_preset_loads_and_states_its_use() -> None:
    folder = Path(__file__).parents[2] / "configs"
    assert {"default", "archive", "preview"} <= set(preset_names())
    for name in preset_names():
        assert isinstance(load_preset(name), Preset)
        assert (folder / f"{name}.toml").read_text().startswith("# For ")


def test_unknown_key_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown key 'modle'; did you mean 'model'"):
        preset_from({"modle": "turbo"}, where="mine")


def test_unknown_preset_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'archive'"):
        load_preset("archiv")


@pytest.mark.parametrize(
    ("key", "value"),
    [("crf", "low"), ("crf", True), ("pad", 1), ("hold_s", "long"), ("source_buffer_frames", 0), ("which", "some")],
)
def test_invalid_value_raises_usage_error(key: str, value: object) -> None:
    with pytest.raises(UsageError, match=key):
        preset_from({key: value}, where="mine")


def test_preset_from_a_toml_file(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('which = "all"\ncrf = 12\n')
    assert (load_preset(str(mine)).which, load_preset(str(mine)).crf) == (FrameSelection.ALL, 12)
    mine.write_text("crf = = 12\n")
    with pytest.raises(UsageError, match="not valid TOML"):
        load_preset(str(mine))
