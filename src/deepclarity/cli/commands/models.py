"""`deepclarity models`: list the available models, detectors and presets."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from deepclarity.cli import options

if TYPE_CHECKING:
    from deepclarity.models.load import ModelInfo


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the models as one JSON object per line.")
@options.debug
def models(as_json: bool) -> None:
    """List the enhancer tiers, detectors and presets."""
    from deepclarity.models.detectors import DETECTORS
    from deepclarity.models.load import DEFAULT_ENHANCERS, available_models
    from deepclarity.pipelines.preset import preset_names

    available = available_models()
    if as_json:
        for model in available:
            click.echo(json.dumps(asdict(model)))
        return
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


def _size(model: ModelInfo) -> str:
    return f"{model.parameters:,} parameters, {model.bytes / 1024:.0f} KiB" if model.bytes else "no weights"
