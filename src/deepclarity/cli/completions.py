"""Names that shell completion offers: tiers, detectors and presets, read without loading a network."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import click
from click.shell_completion import CompletionItem

_METHODS = ("lattice-net", "grid", "canny-mobilenet", "mobilenet")


def complete_model(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Tiers that begin with `typed`; files as well, as a model may be one."""
    manifest = tomllib.loads(files("deepclarity.weights").joinpath("manifest.toml").read_text(encoding="utf-8"))
    names = ["auto", "lanczos", *(name for name, record in manifest.items() if record["kind"] == "enhancer")]
    tiers = [CompletionItem(name) for name in names if name.startswith(typed)]
    return tiers or [CompletionItem(typed, type="file")]


def complete_method(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Detectors that begin with `typed`."""
    return [CompletionItem(name) for name in _METHODS if name.startswith(typed)]


def complete_preset(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Presets that begin with `typed`; files as well, as a preset may be one."""
    configs = (path.name for path in files("deepclarity.configs").iterdir() if path.name.endswith(".toml"))
    presets = [
        CompletionItem(name) for name in sorted(n.removesuffix(".toml") for n in configs) if name.startswith(typed)
    ]
    return presets or [CompletionItem(typed, type="file")]
