from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from deepclarity.cli.app import run
from deepclarity.errors import UsageError
from deepclarity.models.train.detector import learner
from deepclarity.models.train.detector.learner import load_learner
from deepclarity.models.train.detector.recipe import parse_detector_recipe
from deepclarity.models.train.detector.run import DetectorRun, PreprocessedDataset, best_threshold, rates
from deepclarity.models.weights import load_weights, read_tensors
from deepclarity.pipelines.datasets.detector_dataset import DetectorDataset, Protocol
from deepclarity.pipelines.datasets.photos import Split
from deepclarity.pipelines.training import cache, export
from deepclarity.stream.files.still import Picture, read_picture, write_picture
from tests.tiny_learner import RECIPE, TinyLearner

Capture = pytest.CaptureFixture[str]
TINY = parse_detector_recipe(RECIPE, where="tiny.toml")
CONFIGS = Path(str(files("deepclarity.configs")))


@pytest.fixture
def work(tmp_path: Path, painting: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three photos, one a split, a recipe, and pictures that are made quickly."""
    monkeypatch.setitem(learner._LEARNERS, "tiny", ("tests.tiny_learner", "TinyLearner"))
    monkeypatch.setattr("deepclarity.pipelines.datasets.detector_dataset.SIZES", {(160, 90): 1})
    monkeypatch.setattr("deepclarity.pipelines.datasets.detector_dataset.FULL_HD", (320, 180))
    (tmp_path / "photos").mkdir()
    for number in range(3):
        piece = painting[:400, 400 * number : 400 * number + 480, ::-1]
        write_picture(tmp_path / "photos" / f"{number}.png", Picture(np.ascontiguousarray(piece)))
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


def train(work: Path, *more: str) -> int:
    options = ["--config", str(work / "recipe.toml"), "--data", str(work / "photos"), "--out", str(work / "out")]
    return run(["train", "detector", *options, "--threads", "1", *more])


def seen(count: int = 40) -> PreprocessedDataset:
    """Pictures of which the first number says the class."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, count).astype(np.intp)
    alike = rng.normal(0, 0.3, (count, 4)).astype(np.float32)
    alike[:, 0] += labels
    return PreprocessedDataset({"alike": alike}, labels)


def test_training_run_writes_weights_log_and_plot(work: Path, capsys: Capture) -> None:
    assert train(work) == 0
    reported = capsys.readouterr().out
    assert "train pictures of protocol published: 24 of 24" in reported
    assert "32 pictures" in reported
    assert f"weights: {work / 'out' / 'weights.safetensors'}" in reported
    entry = json.loads((work / "out" / "log.jsonl").read_text())
    assert entry["step"] == 40
    assert entry["loss"] < 0.9 * np.log(3)  # better than guessing among three classes
    assert 0 < entry["f1"] <= 1
    assert read_picture(work / "out" / "progress.png").pixels.shape[0] > 800
    assert (work / "out" / "recipe.toml").read_text() == RECIPE
    assert train(work) == 4
    assert "--resume" in capsys.readouterr().err


def test_cached_pictures_are_reused_and_damaged_ones_are_recreated(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert train(work, "-q") == 0
    made = read_tensors(work / "out" / "weights.safetensors")
    asked: list[tuple[Protocol, int]] = []
    at = DetectorDataset.at
    monkeypatch.setattr(
        DetectorDataset, "at", lambda self, index: asked.append((self._protocol, index)) or at(self, index)
    )
    (work / "out" / "checkpoint.pt").unlink()
    (shard,) = (work / "out" / "samples").glob("validation-video-*.npz")
    shard.write_bytes(shard.read_bytes()[:-40])
    assert train(work, "-q") == 0
    assert asked == [(Protocol.VIDEO, index) for index in range(12)]
    again = read_tensors(work / "out" / "weights.safetensors")
    assert all(np.array_equal(made[key], again[key]) for key in made)


def test_cache_grows_when_more_pictures_are_requested(work: Path) -> None:
    wanted = cache.Wanted("tiny", work / "photos", Split.TRAIN, Protocol.PUBLISHED, 1, 4)
    said: list[str] = []
    few, more = (
        cache.samples([replace(wanted, count=n)], work, TinyLearner(), processes=1, say=said.append) for n in (4, 6)
    )
    assert (len(few.labels), len(more.labels)) == (4, 6)
    np.testing.assert_array_equal(few.arrays["alike"], more.arrays["alike"][:4])
    assert more.labels.tolist() == [1, 0, 1, 0, 1, 0]
    again = cache.samples([wanted], work, TinyLearner(), processes=1, say=said.append)
    np.testing.assert_array_equal(few.arrays["alike"], again.arrays["alike"])
    assert len(said) == 2  # nothing was made a third time


def test_training_never_creates_pictures_of_the_test_split(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    splits = set()
    monkeypatch.setattr(
        cache, "find_source_images", lambda *args, find=cache.find_source_images: splits.add(args[1]) or find(*args)
    )
    assert train(work, "-q") == 0
    assert splits == {Split.TRAIN, Split.VALIDATION}


def test_missing_final_weights_are_restored_from_the_checkpoint(work: Path) -> None:
    assert train(work, "-q") == 0
    made = read_tensors(work / "out" / "weights.safetensors")
    (work / "out" / "weights.safetensors").unlink()
    assert train(work, "-q", "--resume") == 0
    again = read_tensors(work / "out" / "weights.safetensors")
    assert all(np.array_equal(made[key], again[key]) for key in made)


def test_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path: Path) -> None:
    unbroken, broken, resumed = (DetectorRun(TINY, TinyLearner()) for _ in range(3))
    expected = [unbroken.advance(seen())["loss"].item() for _ in range(12)]
    assert [broken.advance(seen())["loss"].item() for _ in range(5)] == expected[:5]
    broken.save(tmp_path / "checkpoint.pt")
    resumed.load(tmp_path / "checkpoint.pt")
    assert [resumed.advance(seen())["loss"].item() for _ in range(7)] == expected[5:]
    for key, value in unbroken.averaged.state_dict().items():
        assert torch.equal(value, resumed.averaged.state_dict()[key])
    np.testing.assert_array_equal(unbroken.margins(seen()), resumed.margins(seen()))


def test_each_epoch_uses_every_picture_once() -> None:
    trained = DetectorRun(TINY, TinyLearner())
    order = []
    for trained.step in range(10):
        order += trained._batch_indices(40).tolist()
    assert sorted(order[:40]) == sorted(order[40:]) == list(range(40))
    assert order[:40] != order[40:]


def test_training_learns_and_calibrates_the_threshold_to_one_half() -> None:
    trained, truth = DetectorRun(TINY, TinyLearner()), seen(200)
    while trained.step < TINY.steps:
        trained.advance(truth)
    pixelated, margins = truth.labels == 1, trained.margins(truth)
    threshold = best_threshold(margins, pixelated)
    assert rates(margins, pixelated, threshold)["f1"] > 0.6
    plain, shifted = (trained.export_tensors(shift=shift)["bias"] for shift in (0.0, -threshold))
    np.testing.assert_allclose(shifted - plain, [0, -threshold, 0], atol=1e-6)


def test_threshold_maximises_recall_within_the_false_positive_limit() -> None:
    margins = np.array([4.0, 3, 2, 1, -1, -2, -3, -4])
    pixelated = np.array([True, True, False, True, True, False, False, False])
    assert best_threshold(margins, pixelated) == -1.5
    assert best_threshold(margins, pixelated, false_positives=0.0) == 2.5
    assert rates(margins, pixelated, -1.5) == {"f1": 8 / 9, "recall": 1.0, "false_positives": 0.25}
    assert best_threshold(margins, ~np.ones(8, bool), false_positives=0.0) > 4
    assert best_threshold(np.zeros(4), np.array([True, True, False, False]), false_positives=0.0) > 0


def test_published_detector_is_named_after_its_method(work: Path, capsys: Capture) -> None:
    assert train(work, "-q") == 0
    (work / "manifest.toml").write_text("")
    words = ["--folder", str(work), "--trained-on", "paintings", "--measured", "-", "--note", "for tests"]
    assert export.main([str(work / "out"), "--name", "tinny", *words]) == 2
    assert "named after its method, tiny" in capsys.readouterr().err
    assert export.main([str(work / "out"), "--name", "tiny", *words]) == 0
    record, tensors = load_weights("tiny", folder=work)
    assert (record.kind, record.family, record.architecture) == ("detector", "tiny", {"inputs": 4})
    assert (record.parameters, record.scales, record.int8_ranges) == (15, (), ())
    assert (work / "detectors" / "tiny.safetensors").read_bytes() == (work / "out" / "weights.safetensors").read_bytes()
    load_learner("tiny").check(tensors, name="tiny")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("methood = 3", "did you mean 'method'"),
        ("steps = 1.5", "'steps' must be of type int"),
        ("seed = [1]", "'seed' must not be a list"),
        ("batch = 0", "'batch' must lie in 2"),
        ("false_positives = 2", "'false_positives' must lie in 0..1"),
        ("label_smoothing = 0.9", "'label_smoothing' must lie in"),
    ],
)
def test_invalid_recipe_error_names_the_key(line: str, complaint: str) -> None:
    rest = [old for old in RECIPE.splitlines() if not old.startswith(f"{line.partition(' ')[0]} =")]
    with pytest.raises(UsageError, match=f"slip.toml: .*{complaint}"):
        parse_detector_recipe("\n".join([line, *rest]), where="slip.toml")


def test_recipe_requires_every_key_and_pictures() -> None:
    with pytest.raises(UsageError, match="'seed' is missing"):
        parse_detector_recipe(RECIPE.replace("seed = 1\n", ""), where="slip.toml")
    with pytest.raises(UsageError, match="nothing to train on"):
        nothing = RECIPE.replace("published_pictures = 24", "published_pictures = 0")
        parse_detector_recipe(nothing.replace("video_pictures = 8", "video_pictures = 0"), where="slip.toml")


def test_invalid_training_options_raise_one_line_error(work: Path, capsys: Capture) -> None:
    def said(*options: str) -> str:
        assert train(work, *options) in (2, 5)
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert "did you mean 'mobilenet'" in said("--config", "mobilenett")
    assert "no device 'cuda:99'" in said("--device", "cuda:99")
    assert "no such folder" in said("--data", str(work / "nowhere"))
    assert "no checkpoint to resume" in said("--resume")
    (work / "recipe.toml").write_text(RECIPE.replace('"tiny"', '"grid"'))
    assert "method 'grid' cannot be trained" in said()


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("training/detector/*.toml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_trains_the_method_of_its_name(path: Path) -> None:
    recipe = parse_detector_recipe(path.read_text(), where=path.name)
    assert recipe.method == path.stem
    assert load_learner(recipe.method).name == recipe.method


def test_parallel_dataset_generation_equals_sequential(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # other processes know nothing of it
    monkeypatch.setattr(cache, "_SHARD", 1)
    wanted, learner = (
        cache.Wanted("canny-mobilenet", work / "photos", Split.TRAIN, Protocol.PUBLISHED, 1, 2),
        load_learner("canny-mobilenet"),
    )
    one, two = (
        cache.samples([wanted], work / str(count), learner, processes=count, say=lambda line: None) for count in (1, 2)
    )
    np.testing.assert_array_equal(one.arrays["seen"], two.arrays["seen"])
    assert one.labels.tolist() == two.labels.tolist() == [1, 0]
