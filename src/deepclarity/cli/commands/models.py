"""`deepclarity models`: list the available models, detectors and presets."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepclarity.cli import options

if TYPE_CHECKING:
    from deepclarity.models.load import ModelInfo


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the models as one JSON object per line.")
@click.option(
    "--folder", type=click.Path(path_type=Path), metavar="DIR",
    help="List the model files in this folder instead, and measure each.",
)  # fmt: skip
@options.device_auto
@options.debug
def models(as_json: bool, folder: Path | None, device: str) -> int:
    """List the enhancer tiers, detectors and presets.

    --model also takes the path of a .safetensors, .pth or .onnx file; --folder lists such files.
    """
    if folder is not None:
        return _list_folder(folder, device, as_json=as_json)
    from deepclarity.models.detectors import DETECTORS
    from deepclarity.models.load import DEFAULT_ENHANCERS, available_models
    from deepclarity.pipelines.preset import preset_names

    available = available_models()
    if as_json:
        for model in available:
            click.echo(json.dumps(asdict(model)))
        return 0
    choice = ", ".join(f"{name} on {device}" for device, name in DEFAULT_ENHANCERS.items())
    click.echo(f"Enhancers (--model); 'auto' is {choice}")
    for model in (model for model in available if model.kind == "enhancer"):
        scales = "×" + "/".join(map(str, model.scales))
        click.echo(f"  {model.name:<27} {scales:<10} {_size(model):<32} {model.note}")
    click.echo("Detectors (--method)")
    trained = {model.name: model for model in available if model.kind == "detector"}
    for name in DETECTORS:
        info = trained.get(name)
        click.echo(f"  {name:<38} {_size(info):<32} {info.note}" if info else f"  {name:<38} no weights")
    click.echo("Presets (--preset)")
    for name in preset_names():
        click.echo(f"  {name}")
    return 0


def _list_folder(folder: Path, device: str, *, as_json: bool) -> int:
    """Print one line per model file; returns the exit code, 2 if none can be used."""
    from deepclarity.models.external.catalogue import MEASURED_SIZE, list_models, model_files
    from deepclarity.models.load import usable_device

    usable, measured_on = 0, usable_device(device)
    model_files(folder)  # raises for a folder that does not exist, before anything is printed
    if not as_json:
        click.echo(f"Models in {folder}; speed at {MEASURED_SIZE[0]}x{MEASURED_SIZE[1]} pixels on {measured_on}")
    for model in list_models(folder, device=measured_on):
        usable += model.info is not None
        if as_json:
            click.echo(json.dumps(asdict(model)))
        elif model.info is None:
            click.echo(f"  {model.file}: {model.problem.removeprefix(model.file + ': ')}")
        else:
            info = model.info
            kind = f"×{info.scale} {'RGB' if info.channels == 3 else 'luma'}"
            facts = f"{info.architecture:<20} {kind:<8} {info.parameters:>12,} parameters  licence {info.licence}"
            facts += f" (architecture: {info.architecture_licence})" if info.architecture_licence != "-" else ""
            click.echo(f"  {model.file:<36} {facts:<100} {model.frames_per_s:.2f} frames/s")
    if not usable:
        click.echo(f"deepclarity: {folder}: holds no model that can be used here.", err=True)
        return 2
    return 0


def _size(model: ModelInfo) -> str:
    return f"{model.parameters:,} parameters, {model.bytes / 1024:.0f} KiB" if model.bytes else "no weights"
