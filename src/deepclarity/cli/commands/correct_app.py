"""`deepclarity correct_app`: the web app with the Correct page only, kept for compatibility."""

from __future__ import annotations

import click

from deepclarity.cli import options

from .web import WebOptions, run_web


@click.command("correct_app")
@options.port
@options.quiet
@options.debug
def correct_app(port: int, quiet: bool) -> None:
    """Start the web app with the Correct page only; same as `deepclarity web --only correct`."""
    run_web(WebOptions(port=port, only="correct"), quiet=quiet)
