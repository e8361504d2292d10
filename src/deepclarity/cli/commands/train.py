"""`deepclarity train`: train an enhancer or a detector."""

from __future__ import annotations

from pathlib import Path

import click

from deepclarity.cli import options


@click.group()
def train() -> None:
    """Train an enhancer or a detector on a folder of photos."""


@train.command()
@click.option("--config", required=True, metavar="NAME|FILE.toml", help="Training recipe: built-in, or a TOML file.")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Folder of clean photos.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Output folder. Default: runs/RECIPE.")
@click.option("--start", type=click.Path(path_type=Path), help="Initial weights, a .safetensors file.")
@click.option("--features", type=click.Path(path_type=Path), help="Folder with VGG16 features for perceptual losses.")
@click.option("--device", default="auto", metavar="auto|cpu|cuda[:N]", help="Device to train on. Default: auto.")
@click.option("--threads", type=click.IntRange(0, 1024), default=0, help="CPU threads. Default: PyTorch's choice.")
@click.option("--resume", is_flag=True, help="Resume from the checkpoint in --out.")
@options.quiet
@options.debug
def enhancer(
    config: str,
    data: Path,
    out: Path | None,
    start: Path | None,
    features: Path | None,
    device: str,
    threads: int,
    resume: bool,
    quiet: bool,
) -> None:
    """Train an enhancer.

    Writes checkpoints, weights, a log and a plot to --out. Built-in recipes are named after the weights they produce:
    turbo, srgan, srgan-fidelity-bicubic, … Training can be stopped at any time and resumed from the last checkpoint
    with --resume.
    """
    from deepclarity.pipelines.training.enhancer import Order, train_enhancer

    order = Order(config, data, out or Path("runs") / Path(config).stem, start, features, device, threads, resume)
    weights = train_enhancer(order, say=lambda line: None if quiet else click.echo(line))
    if not quiet:
        click.echo(f"weights: {weights}")


@train.command()
@click.option("--config", required=True, metavar="NAME|FILE.toml", help="Training recipe: built-in, or a TOML file.")
@click.option("--data", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Photos; see above.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Output folder. Default: runs/detector-RECIPE.")
@click.option("--device", default="auto", metavar="auto|cpu|cuda[:N]", help="Device to train on. Default: auto.")
@click.option(
    "--threads",
    type=click.IntRange(0, 1024),
    default=0,
    help="CPU threads, and processes that generate pictures. Default: PyTorch's choice, and one per core.",
)
@click.option("--resume", is_flag=True, help="Resume from the checkpoint in --out.")
@options.quiet
@options.debug
def detector(config: str, data: Path, out: Path | None, device: str, threads: int, resume: bool, quiet: bool) -> None:
    """Train a learned detector.

    Writes checkpoints, weights, a log and a plot to --out. DIR is a folder of photos, or a folder that contains
    train_photos/ and optionally clips/. Labelled pictures are generated from the photos first and cached in --out.
    Built-in recipes are named after the method they train. Training can be stopped at any time: once there is a
    checkpoint, continue with --resume; before that, run the same command again.
    """
    from deepclarity.pipelines.training.detector import Order, train_detector

    options.silence_opencv()
    folder = out or Path("runs") / f"detector-{Path(config).stem}"
    order = Order(config, data, folder, device, threads, resume)
    weights = train_detector(order, say=lambda line: None if quiet else click.echo(line))
    if not quiet:
        click.echo(f"weights: {weights}")
