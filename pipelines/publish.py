"""Puts trained weights into a folder of weights: the file, and its record in `manifest.toml`.

    python -m deepclarity.pipelines.publish --name turbo --config configs/train-turbo.toml --data PHOTOS \\
        --weights runs/train-turbo/weights.safetensors --trained-on "577 photos" --measured "31.2 dB" --note "real time"
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import safetensors.numpy

from deepclarity.errors import DeepClarityError, OutputError
from deepclarity.models.generator import Tensors, check_shapes
from deepclarity.models.train.calibrate import int8_ranges
from deepclarity.models.train.pairs import Bytes
from deepclarity.models.train.recipe import Recipe, read_recipe
from deepclarity.models.weights import Record, read_manifest, read_tensors

from .degrade import PhotoStock, read_photo, split_photos

_CALIBRATION_PHOTOS = 24
_HEAD = "# Every set of weights that ships. Checked before use: a file that differs by one bit is refused.\n"


def publish(
    folder: Path, name: str, recipe: Recipe, tensors: Tensors, *, pictures: Sequence[Bytes], **words: str
) -> Record:
    """Write `name` into `folder`. `pictures`: small luma that 8-bit inference is calibrated on; `words`: the record's
    `trained_on`, `measured` and `note`."""
    check_shapes(recipe.net, tensors, name=name)
    content, net = safetensors.numpy.save(tensors), recipe.net
    record = Record(
        name=name,
        kind="enhancer",
        family=net.family,
        architecture={"blocks": net.blocks, "channels": net.channels, "fold": net.fold},
        file=f"{name}.safetensors",
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        parameters=net.parameters,
        licence="Apache-2.0",
        scales=net.scales,
        int8_ranges=int8_ranges(net, tensors, pictures),
        **words,
    )
    try:
        (folder / record.file).write_bytes(content)
        records = read_manifest(folder) | {name: record}
        text = _HEAD + "".join(_entry(records[key]) for key in sorted(records))
        (folder / "manifest.toml").write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error})") from error
    return record


def _entry(record: Record) -> str:
    numbers = ", ".join(f"{key} = {value}" for key, value in record.architecture.items())
    lines = [
        f"\n[{record.name}]",
        f'kind = "{record.kind}"',
        f'family = "{record.family}"',
        f"architecture = {{ {numbers} }}",
        f"scales = {list(record.scales)}",
        f'file = "{record.file}"',
        f"bytes = {record.bytes}",
        f'sha256 = "{record.sha256}"',
        f"parameters = {record.parameters}",
        f'licence = "{record.licence}"',
        f'trained_on = "{record.trained_on}"',
        f'measured = "{record.measured}"',
        f'note = "{record.note}"',
    ]
    if record.int8_ranges:
        lines.append(f"int8_ranges = {list(record.int8_ranges)}")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Publish as the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("config", "weights", "data"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=Path("weights"), help="where weights and manifest are")
    for option in ("name", "trained-on", "measured", "note"):
        parser.add_argument(f"--{option}", required=True)
    chosen = parser.parse_args(arguments)
    try:
        recipe = read_recipe(chosen.config)
        training, _ = split_photos(chosen.data, recipe.validation_photos)
        some = training[:: max(1, len(training) // _CALIBRATION_PHOTOS)]
        shelf = PhotoStock([read_photo(path) for path in some], recipe).shelf(0)
        record = publish(
            chosen.folder,
            chosen.name,
            recipe,
            read_tensors(chosen.weights),
            pictures=[pair.small for pair in shelf[recipe.scales[-1]]],
            trained_on=chosen.trained_on,
            measured=chosen.measured,
            note=chosen.note,
        )
    except DeepClarityError as error:
        sys.stderr.write(f"publish: {error}\n")
        return error.exit_code
    sys.stdout.write(f"{record.file}: {record.bytes} bytes, {record.parameters} parameters\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
