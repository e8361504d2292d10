"""`deepclarity correct_app`: the page that corrects, as the original had it."""

from __future__ import annotations

import click

from deepclarity.cli import options

from .web import Wanted, run_web


@click.command("correct_app")
@click.option("--port", type=click.IntRange(0, 65535), default=7860, help="Default: 7860; 0: any that is free.")
@options.quiet
@options.debug
def correct_app(port: int, quiet: bool) -> None:
    """Upload a picture, see it repaired: `deepclarity web --only correct`."""
    run_web(Wanted(port=port, only="correct"), quiet=quiet)
