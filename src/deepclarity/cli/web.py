"""`deepclarity web`: the web app."""

from __future__ import annotations

import importlib.util
import webbrowser
from dataclasses import replace

import click

from deepclarity.errors import UsageError, did_you_mean

from . import options


@click.command()
@click.option("--host", default="127.0.0.1", metavar="ADDRESS", help="Where to listen. Default: this machine only.")
@click.option("--port", type=click.IntRange(0, 65535), default=7860, help="Default: 7860; 0: any that is free.")
@click.option(
    "--auth", envvar="DEEPCLARITY_AUTH", metavar="USER:PASSWORD", help="Ask for these; best given in DEEPCLARITY_AUTH."
)
@click.option("--only", type=click.Choice(["detect", "correct"]), help="One page instead of all.")
@click.option("--model", metavar="TIER", help="The tier that is chosen at first; see 'deepclarity models'.")
@options.device
@click.option("--max-upload", type=click.IntRange(1, 65536), metavar="MB", help="Largest upload. Default: 512.")
@click.option("--max-pixels", type=click.FloatRange(0.01, 400), metavar="MP", help="Largest picture. Default: 36.")
@click.option("--queue", type=click.IntRange(1, 1000), help="Requests that may wait. Default: 16.")
@click.option("--open-browser/--no-open-browser", default=False, help="Open the page when it is ready.")
@options.quiet
@options.debug
def web(
    host: str,
    port: int,
    auth: str | None,
    only: str | None,
    model: str | None,
    device: str | None,
    max_upload: int | None,
    max_pixels: float | None,
    queue: int | None,
    open_browser: bool,
    quiet: bool,
) -> None:
    """Serve the web app: detect, correct, repair a video, watch a camera live.

    Only this machine can reach it unless --host says otherwise; then ask for a password by --auth.
    """
    run_web(host, port, auth, only, model, device, max_upload, max_pixels, queue, open_browser, quiet)


def run_web(
    host: str = "127.0.0.1",
    port: int = 7860,
    auth: str | None = None,
    only: str | None = None,
    model: str | None = None,
    device: str | None = None,
    max_upload: int | None = None,
    max_pixels: float | None = None,
    queue: int | None = None,
    open_browser: bool = False,
    quiet: bool = False,
) -> None:
    """Serve until Ctrl-C."""
    if importlib.util.find_spec("gradio") is None:
        raise UsageError("the web app needs Gradio. Install it: pip install 'deepclarity[web]'.")
    from deepclarity.models.load import load_enhancer
    from deepclarity.web.limits import MEBI, Limits
    from deepclarity.web.server import Settings, serve
    from deepclarity.web.tools import tiers

    if model is not None and model not in tiers():
        raise UsageError(f"--model {model}: no such tier; {did_you_mean(model, tiers())}")
    load_enhancer("lanczos", device=device or "auto")  # refuses a device that cannot be
    given = {
        "upload_bytes": max_upload * MEBI if max_upload else None,
        "picture_px": round(max_pixels * 1e6) if max_pixels else None,
        "queue": queue,
    }
    limits = replace(Limits(), **{key: value for key, value in given.items() if value is not None})
    settings = Settings(host, port, _user_of(auth), only, model, device or "auto", limits)
    if not settings.local and settings.auth is None:
        click.echo(
            f"warning: everybody who can reach {host} may use this server. Ask for a password: --auth USER:PASSWORD.",
            err=True,
        )
    options.hush_opencv()

    def ready(address: str) -> None:
        if not quiet:
            click.echo(f"DeepClarity is at {address} (Ctrl-C ends it)")
        if open_browser:
            webbrowser.open(address)

    serve(settings, ready=ready)


def _user_of(auth: str | None) -> tuple[str, str] | None:
    """UsageError names the form, never what was given."""
    if auth is None:
        return None
    user, _, password = auth.partition(":")
    if not user.strip() or not password:
        raise UsageError("--auth: give a user and a password as USER:PASSWORD.")
    return user.strip(), password
