"""`deepclarity web`: start the web app."""

from __future__ import annotations

import importlib.util
import os
import webbrowser
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepclarity.cli import options
from deepclarity.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from deepclarity.web.limits import Limits


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    metavar="ADDRESS",
    help="Address to listen on. Default: 127.0.0.1, this machine only.",
)
@options.port
@click.option(
    "--auth",
    envvar="DEEPCLARITY_AUTH",
    metavar="USER:PASSWORD",
    help="Require this login. Better set in the variable DEEPCLARITY_AUTH.",
)
@click.option("--only", type=click.Choice(["detect", "correct"]), help="Serve one page instead of all.")
@click.option("--model", metavar="TIER", help="Preselected enhancer tier; see 'deepclarity models'.")
@click.option(
    "--models-folder", type=click.Path(path_type=Path), metavar="DIR", help="Offer the model files in this folder, too."
)
@options.device_auto
@click.option("--max-upload", type=click.IntRange(1, 65536), metavar="MB", help="Largest upload in MiB. Default: 512.")
@click.option(
    "--max-pixels", type=click.FloatRange(0.01, 170), metavar="MP", help="Largest picture in megapixels. Default: 36."
)
@click.option("--queue", type=click.IntRange(1, 1000), help="Maximum number of queued requests. Default: 16.")
@click.option("--open-browser/--no-open-browser", default=False, help="Open the app in the browser when it is ready.")
@options.quiet
@options.debug
def web(
    host: str,
    port: int,
    auth: str | None,
    only: str | None,
    model: str | None,
    models_folder: Path | None,
    device: str,
    max_upload: int | None,
    max_pixels: float | None,
    queue: int | None,
    open_browser: bool,
    quiet: bool,
) -> None:
    """Start the web app: detect and repair pictures, repair videos, watch a camera live.

    By default only this machine can connect. To allow others, set --host and require a login with --auth.
    """
    web_options = WebOptions(host, port, auth, only, model, device, max_upload, max_pixels, queue, models_folder)
    run_web(web_options, open_browser, quiet=quiet)


@dataclass(frozen=True, slots=True)
class WebOptions:
    """Options of the web app; None selects the default in `web.limits`."""

    host: str = "127.0.0.1"
    port: int = 7860
    auth: str | None = None
    only: str | None = None
    model: str | None = None
    device: str = "auto"
    max_upload_mb: int | None = None
    max_pixels_mp: float | None = None
    queue: int | None = None
    models_folder: Path | None = None


def run_web(web_options: WebOptions, open_browser: bool = False, *, quiet: bool = False) -> None:
    """Run the web server until Ctrl-C."""
    if importlib.util.find_spec("gradio") is None:
        raise UsageError("the web app needs Gradio. Install it: pip install 'deepclarity[web]'.")
    limits = _limits(web_options)
    # OpenCV reads this variable when it is imported, so it must be set first.
    os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(max(limits.picture_px, limits.live_px))
    from deepclarity.models.load import check_enhancer, load_enhancer
    from deepclarity.web.model_cache import Tiers
    from deepclarity.web.server import Settings, serve

    tier, tiers = web_options.model, Tiers.with_folder(web_options.models_folder)
    if tier is not None and tier not in tiers.names:
        raise UsageError(f"--model {tier}: no such tier; {did_you_mean(tier, tiers.names)}")
    for path in tiers.files.values():
        check_enhancer(str(path))
    load_enhancer("lanczos", device=web_options.device)  # raises early if the device is not available
    user = _parse_auth(web_options.auth)
    settings = Settings(
        web_options.host, web_options.port, user, web_options.only, tier, web_options.device, tiers, limits
    )
    if not settings.loopback_only and user is None:
        warning = f"anyone who can reach {web_options.host} can use this server"
        click.echo(f"warning: {warning}. Require a login with --auth USER:PASSWORD.", err=True)
    options.silence_opencv()

    def ready(address: str) -> None:
        if not quiet:
            click.echo(f"DeepClarity is running at {address} (press Ctrl-C to stop)")
        if open_browser:
            webbrowser.open(address)

    serve(settings, ready=ready)


def _limits(web_options: WebOptions) -> Limits:
    """The request limits; the disk quota always has space for at least four uploads of maximum size."""
    from deepclarity.web.limits import MEBI, Limits

    limits = Limits()
    upload_bytes = web_options.max_upload_mb * MEBI if web_options.max_upload_mb else limits.upload_bytes
    return replace(
        limits,
        upload_bytes=upload_bytes,
        picture_px=round(web_options.max_pixels_mp * 1e6) if web_options.max_pixels_mp else limits.picture_px,
        queue=web_options.queue or limits.queue,
        disk_bytes=max(limits.disk_bytes, 5 * upload_bytes),
    )


def _parse_auth(auth: str | None) -> tuple[str, str] | None:
    """(user, password) from `USER:PASSWORD`; the UsageError never quotes the value, which may hold a password."""
    if auth is None:
        return None
    user, _, password = auth.partition(":")
    if not user.strip() or not password:
        raise UsageError("--auth: give a user and a password as USER:PASSWORD.")
    return user.strip(), password
