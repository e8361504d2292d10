"""`deepclarity train`: make weights of one's own."""

from __future__ import annotations

from pathlib import Path

import click

from deepclarity.cli import options


@click.group()
def train() -> None:
    """Train the models from a folder of photos."""


@train.command()
@click.option("--config", required=True, metavar="NAME|FILE.toml", help="The recipe: one that ships, or your own.")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="A folder of clean photos.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Where results go. Default: runs/RECIPE.")
@click.option("--start", type=click.Path(path_type=Path), help="Begin with these weights, a .safetensors file.")
@click.option("--features", type=click.Path(path_type=Path), help="Folder of VGG16 features for perceptual recipes.")
@click.option("--device", default="auto", metavar="auto|cpu|cuda[:N]", help="Where to train.")
@click.option("--threads", type=click.IntRange(0, 1024), default=0, help="CPU threads. Default: as torch thinks best.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in --out.")
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
    """Train an enhancer: checkpoints, weights, a log and its plot go to --out.

    Recipes that ship are called as the weights they make: turbo, srgan, srgan-fidelity-bicubic, … Stop at any time
    and go on with --resume: what is lost is less than the time between two checkpoints.
    """
    from deepclarity.pipelines.training.enhancer import Order, train_enhancer

    order = Order(config, data, out or Path("runs") / Path(config).stem, start, features, device, threads, resume)
    weights = train_enhancer(order, say=lambda line: None if quiet else click.echo(line))
    if not quiet:
        click.echo(f"weights: {weights}")


@train.command()
@click.option("--config", required=True, metavar="NAME|FILE.toml", help="The recipe: one that ships, or your own.")
@click.option("--data", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Photos, or see above.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Where results go. Default: runs/detector-RECIPE.")
@click.option("--device", default="auto", metavar="auto|cpu|cuda[:N]", help="Where to train.")
@click.option(
    "--threads",
    type=click.IntRange(0, 1024),
    default=0,
    help="CPU threads, and processes that make pictures. Default: as many as there are cores.",
)
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in --out.")
@options.quiet
@options.debug
def detector(config: str, data: Path, out: Path | None, device: str, threads: int, resume: bool, quiet: bool) -> None:
    """Train a detector that learns: checkpoints, weights, a log and its plot go to --out.

    DIR is a folder of photos, or one with train_photos/ and perhaps clips/ in it. Labelled pictures are made of them
    first and kept in --out; those that are there already are used again. Recipes that ship are called as the method
    that they train. Stop at any time and go on: with --resume once there is a checkpoint, else without.
    """
    from deepclarity.pipelines.training.detector import Order, train_detector

    options.hush_opencv()
    folder = out or Path("runs") / f"detector-{Path(config).stem}"
    order = Order(config, data, folder, device, threads, resume)
    weights = train_detector(order, say=lambda line: None if quiet else click.echo(line))
    if not quiet:
        click.echo(f"weights: {weights}")
