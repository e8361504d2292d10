"""`deepclarity relay`: read a network stream, repair it and publish it until stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deepclarity.cli import options, status_line


@click.command()
@click.argument("source", metavar="IN", required=False)
@click.argument("target", metavar="OUT", required=False)
@click.option(
    "--file",
    "relays",
    type=click.Path(path_type=Path),
    metavar="relays.toml",
    help="Run the streams of a relay file instead of IN and OUT.",
)
@click.option("--transport", default="tcp", metavar="tcp|udp", help="RTSP transport for reading IN. Default: tcp.")
@click.option("--no-audio", is_flag=True, help="Drop the audio track.")
@click.option("--loop", is_flag=True, help="Restart IN at its end (files only).")
@click.option("--name", default="relay", help="Stream name in the status line and metrics. Default: relay.")
@options.live_options
def relay(
    source: str | None,
    target: str | None,
    relays: Path | None,
    transport: str,
    no_audio: bool,
    loop: bool,
    name: str,
    **values: Any,
) -> None:
    """Read IN, repair its pixelated frames and publish the result to OUT.

    IN is an rtsp, rtmp, http or udp address or a file; OUT is an rtsp address. OUT stays up when IN is lost: the last
    frame is repeated, then a slate shows the reason while IN is retried. Options override the values of the preset.
    """
    from deepclarity.errors import UsageError
    from deepclarity.pipelines.live.sinks import LiveJob
    from deepclarity.stream.rtsp.address import sink_address, source_address

    if relays is not None:
        _check_file_options(click.get_current_context())
        status_line.run_relays(relays, options.pop_run_options(values))
        return
    preset, run = options.parse_live(values)
    if source is None or target is None:
        raise UsageError("relay: give IN and OUT, or --file relays.toml.")
    job = LiveJob(
        source_address(source, transport=transport, timeout_s=run.timeout_s, insecure_tls=run.insecure_tls),
        server=sink_address(target, timeout_s=run.timeout_s, insecure_tls=run.insecure_tls),
        preset=preset,
        name=name,
        audio=not no_audio,
        loop=loop,
        seconds=run.seconds,
        timeouts=run.timeouts,
    )
    status_line.run_live(job, run)


_ALLOWED_WITH_FILE = {"relays", "seconds", "metrics", "metrics_host", "log_json", "quiet"}


def _check_file_options(context: click.Context) -> None:
    """Raise UsageError for options that a relay file sets itself for each relay."""
    from deepclarity.errors import UsageError

    command_line = click.core.ParameterSource.COMMANDLINE
    set_names = [name for name in context.params if context.get_parameter_source(name) is command_line]
    names = [name for name in set_names if name not in _ALLOWED_WITH_FILE]
    if names:
        listed = ", ".join({"source": "IN", "target": "OUT"}.get(name, f"--{name.replace('_', '-')}") for name in names)
        raise UsageError(f"relay --file: {listed} belongs in the relay file, not on the command line.")
