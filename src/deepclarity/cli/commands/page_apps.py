"""`deepclarity detect_app` and `deepclarity correct_app`: the web app with one page, kept for compatibility."""

from __future__ import annotations

import click

from deepclarity.cli import options

from .web import WebOptions, run_web


@click.command("detect_app")
@options.port
@options.quiet
@options.debug
def detect_app(port: int, quiet: bool) -> None:
    """Start the web app with the Detect page only; same as `deepclarity web --only detect`."""
    run_web(WebOptions(port=port, only="detect"), quiet=quiet)


@click.command("correct_app")
@options.port
@options.quiet
@options.debug
def correct_app(port: int, quiet: bool) -> None:
    """Start the web app with the Correct page only; same as `deepclarity web --only correct`."""
    run_web(WebOptions(port=port, only="correct"), quiet=quiet)
