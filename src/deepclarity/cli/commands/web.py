"""`deepclarity web`: the web app."""

from __future__ import annotations

import importlib.util
import os
import webbrowser
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from deepclarity.cli import options
from deepclarity.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from deepclarity.web.security.limits import Limits


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
@click.option("--max-pixels", type=click.FloatRange(0.01, 170), metavar="MP", help="Largest picture. Default: 36.")
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
    wanted = Wanted(host, port, auth, only, model, device or "auto", max_upload, max_pixels, queue)
    run_web(wanted, open_browser, quiet=quiet)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the options say; None: as in `web.limits`."""

    host: str = "127.0.0.1"
    port: int = 7860
    auth: str | None = None
    only: str | None = None
    model: str | None = None
    device: str = "auto"
    max_upload_mb: int | None = None
    max_pixels_mp: float | None = None
    queue: int | None = None


def run_web(wanted: Wanted, open_browser: bool = False, *, quiet: bool = False) -> None:
    """Serve until Ctrl-C."""
    if importlib.util.find_spec("gradio") is None:
        raise UsageError("the web app needs Gradio. Install it: pip install 'deepclarity[web]'.")
    limits = _limits_of(wanted)
    # Read when OpenCV is imported, which must not be before.
    os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(max(limits.picture_px, limits.live_px))
    from deepclarity.models.load import load_enhancer
    from deepclarity.web.model_cache import tiers
    from deepclarity.web.server import Settings, serve

    if wanted.model is not None and wanted.model not in tiers():
        raise UsageError(f"--model {wanted.model}: no such tier; {did_you_mean(wanted.model, tiers())}")
    load_enhancer("lanczos", device=wanted.device)  # refuses a device that cannot be
    user = _user_of(wanted.auth)
    settings = Settings(wanted.host, wanted.port, user, wanted.only, wanted.model, wanted.device, limits)
    if not settings.local and user is None:
        who = f"everybody who can reach {wanted.host} may use this server"
        click.echo(f"warning: {who}. Ask for a password: --auth USER:PASSWORD.", err=True)
    options.hush_opencv()

    def ready(address: str) -> None:
        if not quiet:
            click.echo(f"DeepClarity is at {address} (Ctrl-C ends it)")
        if open_browser:
            webbrowser.open(address)

    serve(settings, ready=ready)


def _limits_of(wanted: Wanted) -> Limits:
    """The limits that were asked for; there is always room for four of the largest uploads."""
    from deepclarity.web.security.limits import MEBI, Limits

    limits = Limits()
    upload_bytes = wanted.max_upload_mb * MEBI if wanted.max_upload_mb else limits.upload_bytes
    return replace(
        limits,
        upload_bytes=upload_bytes,
        picture_px=round(wanted.max_pixels_mp * 1e6) if wanted.max_pixels_mp else limits.picture_px,
        queue=wanted.queue or limits.queue,
        disk_bytes=max(limits.disk_bytes, 5 * upload_bytes),
    )


def _user_of(auth: str | None) -> tuple[str, str] | None:
    """UsageError names the form, never what was given."""
    if auth is None:
        return None
    user, _, password = auth.partition(":")
    if not user.strip() or not password:
        raise UsageError("--auth: give a user and a password as USER:PASSWORD.")
    return user.strip(), password
