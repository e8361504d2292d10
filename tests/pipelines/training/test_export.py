from pathlib import Path

import cv2
import numpy as np
import pytest

from deepclarity.errors import UsageError, WeightsError
from deepclarity.models.generator import initial_weights
from deepclarity.models.train.enhancer.run import export
from deepclarity.models.weights import load_weights, read_manifest
from deepclarity.pipelines.training.export import export_enhancer, main
from tests.tiny_recipes import TINY, drawing, tiny

WORDS = {"trained_on": "drawings", "measured": "nothing", "note": "for tests"}


def test_published_weights_load_by_name_with_int8_ranges(tmp_path):
    (tmp_path / "manifest.toml").write_text("")
    recipe = tiny()
    tensors = initial_weights(recipe.net, seed=4)
    export_enhancer(tmp_path, "tiny", recipe, tensors, pictures=[drawing(0, 48)[..., 0]], **WORDS)
    record, loaded = load_weights("tiny", folder=tmp_path)
    assert all(np.array_equal(loaded[key], value) for key, value in tensors.items())
    assert len(record.int8_ranges) == recipe.blocks + 1
    assert min(record.int8_ranges) > 0
    assert record.note == "for tests"


def test_publishing_again_replaces_only_its_own_record(tmp_path):
    (tmp_path / "manifest.toml").write_text("")
    recipe = tiny()
    for name, seed in (("first", 1), ("second", 2), ("first", 3)):
        export_enhancer(tmp_path, name, recipe, initial_weights(recipe.net, seed=seed), pictures=[], **WORDS)
    assert sorted(read_manifest(tmp_path)) == ["first", "second"]
    _, first = load_weights("first", folder=tmp_path)
    np.testing.assert_array_equal(first["stem.weight"], initial_weights(recipe.net, seed=3)["stem.weight"])


def test_weights_of_another_recipe_are_refused(tmp_path):
    (tmp_path / "manifest.toml").write_text("")
    with pytest.raises(WeightsError, match="do not fit"):
        export_enhancer(tmp_path, "odd", tiny(), {"stem.weight": np.zeros(3, np.float32)}, pictures=[], **WORDS)
    assert read_manifest(tmp_path) == {}


def test_manifest_text_with_special_characters_round_trips(tmp_path):
    (tmp_path / "manifest.toml").write_text("")
    note = 'the "fast" one, C:\\weights'
    export_enhancer(tmp_path, "tiny", tiny(), initial_weights(tiny().net), pictures=[], **{**WORDS, "note": note})
    assert read_manifest(tmp_path)["tiny"].note == note


@pytest.mark.parametrize("name", ["a.b", "a b", "../out", "", "lanczos"])
def test_invalid_manifest_names_are_refused(tmp_path, name):
    (tmp_path / "manifest.toml").write_text("")
    with pytest.raises(UsageError, match="not a valid name for weights"):
        export_enhancer(tmp_path, name, tiny(), initial_weights(tiny().net), pictures=[], **WORDS)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.toml"]


@pytest.mark.parametrize("note", ["a\x7fb", "a\udcffb", "two\nlines"])
def test_unprintable_manifest_text_is_refused_before_writing(tmp_path, note):
    (tmp_path / "manifest.toml").write_text("")
    with pytest.raises(UsageError, match="--note"):
        export_enhancer(tmp_path, "tiny", tiny(), initial_weights(tiny().net), pictures=[], **{**WORDS, "note": note})
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.toml"]


def test_run_is_published_from_its_folder(tmp_path: Path, capsys):
    photos, weights, made = tmp_path / "photos", tmp_path / "weights", tmp_path / "run"
    for folder in (photos, weights, made):
        folder.mkdir()
    (weights / "manifest.toml").write_text("")
    for i in range(3):
        cv2.imwrite(str(photos / f"{i}.png"), drawing(i, 192))
    (made / "recipe.toml").write_text(TINY)
    options = [str(made), "--data", str(photos), "--folder", str(weights), "--name", "mine"]
    options += ["--trained-on", "drawings", "--measured", "-", "--note", "-"]
    assert main(options) == 2
    assert "cannot be read" in capsys.readouterr().err
    export(initial_weights(tiny().net), made / "weights.safetensors")
    assert main(options) == 0
    record, _ = load_weights("mine", folder=weights)
    assert len(record.int8_ranges) == 2
    assert f"{record.parameters} parameters" in capsys.readouterr().out
