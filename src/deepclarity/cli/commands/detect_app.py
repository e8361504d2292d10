"""`deepclarity detect_app`: the page that detects, as the original had it."""

from __future__ import annotations

import click

from deepclarity.cli import options

from .web import Wanted, run_web


@click.command("detect_app")
@click.option("--port", type=click.IntRange(0, 65535), default=7860, help="Default: 7860; 0: any that is free.")
@options.quiet
@options.debug
def detect_app(port: int, quiet: bool) -> None:
    """Select a method, upload a picture, see the verdict: `deepclarity web --only detect`."""
    run_web(Wanted(port=port, only="detect"), quiet=quiet)
