"""Exports trained weights to a weights folder: the file and its record in `manifest.toml`.

    python -m deepclarity.pipelines.training.export runs/train-turbo --name turbo --data PHOTOS \\
        --trained-on "577 photos" --measured "Set5 x4 31.2 dB" --note "real time"

A detector needs no --data; its name is that of its method.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.numpy

from deepclarity.atomic_write import atomic_write
from deepclarity.errors import DeepClarityError, UsageError
from deepclarity.models.generator import Tensors, check_finite, check_shapes
from deepclarity.models.train.detector.learner import Learner, load_learner
from deepclarity.models.train.detector.recipe import parse_detector_recipe
from deepclarity.models.train.enhancer.calibration import int8_ranges
from deepclarity.models.train.enhancer.recipe import Recipe, parse_recipe
from deepclarity.models.train.recipes import read_table
from deepclarity.models.verdict import Bytes
from deepclarity.models.weights import Record, read_manifest, read_tensors
from deepclarity.pipelines.datasets.degrade import PhotoPairs, read_photo, split_photos

from .run import RECIPE, WEIGHTS, recipe_text

_CALIBRATION_PHOTOS = 24
_HEAD = "# Every set of weights that ships. Checked before use: a file that differs by one bit is refused.\n"


def export_enhancer(
    folder: Path, name: str, recipe: Recipe, tensors: Tensors, *, pictures: Sequence[Bytes], **words: str
) -> Record:
    """Write `name` to `folder`. `pictures`: small luma planes for the calibration of int8 inference; `words`: the
    record's `trained_on`, `measured` and `note`."""
    _check_words(name, words)
    net = recipe.net
    check_shapes(net, tensors, name=name)
    check_finite(tensors, name=name)
    described = {
        "kind": "enhancer",
        "family": net.family,
        "architecture": {"blocks": net.blocks, "channels": net.channels, "fold": net.fold},
        "parameters": net.parameters,
        "scales": net.scales,
        "int8_ranges": int8_ranges(net, tensors, pictures),
    }
    return write_record(folder, name, safetensors.numpy.save(tensors), {**described, **words})


def export_detector(folder: Path, name: str, learner: Learner, weights: Path, **words: str) -> Record:
    """Write the file `weights` of a learned method to `folder` as `name`, in its own precision."""
    _check_words(name, words)
    if name != learner.name:
        raise UsageError(f"--name {name}: a detector's weights are named after its method, {learner.name}.")
    tensors = read_tensors(weights)
    learner.check(tensors, name=name)
    described = {
        "kind": "detector",
        "family": learner.name,
        "architecture": dict(learner.architecture),
        "parameters": sum(tensor.size for tensor in tensors.values()),
    }
    return write_record(folder, name, weights.read_bytes(), {**described, **words})


def _check_words(name: str, words: Mapping[str, str]) -> None:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name) or name in ("auto", "lanczos"):
        raise UsageError(
            f"not a valid name for weights: '{name}'. Use letters, digits, - and _; not auto, not lanczos."
        )
    if odd := next((key for key, word in words.items() if not word.isprintable()), None):
        raise UsageError(f"--{odd.replace('_', '-')}: contains unprintable characters. Remove them.")


def write_record(folder: Path, name: str, content: bytes, described: Mapping[str, Any]) -> Record:
    """Write weights and their record in the manifest; `described`: the fields of `Record` that are not derived."""
    record = Record(
        name=name,
        file=f"{described['kind']}s/{name}.safetensors",
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        licence="Apache-2.0",
        **described,
    )
    records = read_manifest(folder) | {name: record}
    manifest = (_HEAD + "".join(_entry(records[key]) for key in sorted(records))).encode()
    tomllib.loads(manifest.decode())  # before anything is written
    (folder / record.file).parent.mkdir(exist_ok=True)
    atomic_write(folder / record.file, content)
    atomic_write(folder / "manifest.toml", manifest)
    return record


def _entry(record: Record) -> str:
    numbers = ", ".join(f"{key} = {json.dumps(value)}" for key, value in record.architecture.items())
    words = ("file", "bytes", "sha256", "parameters", "licence", "trained_on", "measured", "note")
    lines = [
        f"\n[{record.name}]",
        *_lines(record, ("kind", "family")),
        f"architecture = {{ {numbers} }}",
        *([f"scales = {list(record.scales)}"] if record.scales else []),
        *_lines(record, words),
    ]
    if record.int8_ranges:
        lines.append(f"int8_ranges = {list(record.int8_ranges)}")
    return "\n".join(lines) + "\n"


def _lines(record: Record, keys: Sequence[str]) -> list[str]:
    return [f"{key} = {json.dumps(getattr(record, key), ensure_ascii=False)}" for key in keys]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder that training wrote")
    parser.add_argument("--data", type=Path, help="the photos an enhancer was trained on, to calibrate int8")
    parser.add_argument("--folder", type=Path, default=Path("weights"), help="where weights and manifest are")
    for option in ("name", "trained-on", "measured", "note"):
        parser.add_argument(f"--{option}", required=True)
    chosen = parser.parse_args(arguments)
    words = {key: getattr(chosen, key) for key in ("trained_on", "measured", "note")}
    try:
        for folder, file in ((chosen.run, RECIPE), (chosen.folder, "manifest.toml")):
            if not (folder / file).is_file():
                raise UsageError(
                    f"{folder}: has no {file}. Name the folder of a training run, and the weights folder with --folder."
                )
        record = _exported(chosen.run, chosen.folder, chosen.name, chosen.data, words)
    except DeepClarityError as error:
        sys.stderr.write(f"publish: {error}\n")
        return error.exit_code
    sys.stdout.write(f"{record.file}: {record.bytes} bytes, {record.parameters} parameters\n")
    return 0


def _exported(run: Path, folder: Path, name: str, data: Path | None, words: Mapping[str, str]) -> Record:
    """Publish the weights in folder `run`: a detector if its recipe names a method, else an enhancer."""
    where = str(run / RECIPE)
    text = recipe_text(where)
    if "method" in read_table(text, where=where):
        learner = load_learner(parse_detector_recipe(text, where=where).method)
        return export_detector(folder, name, learner, run / WEIGHTS, **words)
    if data is None:
        raise UsageError("an enhancer needs --data, the photos it was trained on, to calibrate int8")
    recipe, tensors = parse_recipe(text, where=where), read_tensors(run / WEIGHTS)
    return export_enhancer(folder, name, recipe, tensors, pictures=_pictures(data, recipe), **words)


def _pictures(data: Path, recipe: Recipe) -> list[Bytes]:
    """Small pictures like those the network was trained on."""
    training, _ = split_photos(data, recipe.validation_photos)
    some = training[:: max(1, len(training) // _CALIBRATION_PHOTOS)]
    pairs_by_scale = PhotoPairs([read_photo(path) for path in some], recipe).pairs_by_scale(0)
    return [pair.small for pair in pairs_by_scale[recipe.scales[-1]]]


if __name__ == "__main__":
    sys.exit(main())
