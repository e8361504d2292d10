"""`deepclarity relay`: a stream in, the same stream repaired out, until it is stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deepclarity.cli import options, status_line


@click.command()
@click.argument("source", metavar="IN", required=False)
@click.argument("target", metavar="OUT", required=False)
@click.option("--file", "relays", type=click.Path(path_type=Path), metavar="relays.toml", help="Several streams.")
@click.option("--transport", default="tcp", metavar="tcp|udp", help="How RTSP is read.")
@click.option("--no-audio", is_flag=True, help="Leave the sound out.")
@click.option("--loop", is_flag=True, help="IN is a file: begin again at its end.")
@click.option("--name", default="relay", help="What it is called in status line and metrics.")
@options.live_shared
def relay(
    source: str | None,
    target: str | None,
    relays: Path | None,
    transport: str,
    no_audio: bool,
    loop: bool,
    name: str,
    **given: Any,
) -> None:
    """Read IN (rtsp, rtmp, http, udp, or a file), repair its pixelated frames, and publish to OUT (rtsp).

    OUT stays up when IN is lost: the last picture is held, then a slate says why, and IN is asked for again.
    """
    from deepclarity.errors import UsageError
    from deepclarity.pipelines.live.sinks import LiveJob
    from deepclarity.stream.rtsp.address import sink_address, source_address

    if relays is not None:
        _only_with_file(click.get_current_context())
        status_line.run_relays(relays, options.live_run(given))
        return
    preset, run = options.live_settings(given)
    if source is None or target is None:
        raise UsageError("relay: name IN and OUT, or --file relays.toml.")
    job = LiveJob(
        source_address(source, transport=transport, timeout_s=run.timeout_s),
        server=sink_address(target, timeout_s=run.timeout_s),
        preset=preset,
        name=name,
        sound=not no_audio,
        loop=loop,
        seconds=run.seconds,
        waiting=run.waiting,
    )
    status_line.run_live(job, run)


_OF_A_FILE = {"relays", "seconds", "metrics", "metrics_host", "log_json", "quiet"}


def _only_with_file(context: click.Context) -> None:
    """UsageError for what a relay file says itself, for each of its relays."""
    from deepclarity.errors import UsageError

    given = click.core.ParameterSource.COMMANDLINE
    names = [name for name in context.params if context.get_parameter_source(name) is given and name not in _OF_A_FILE]
    if names:
        told = ", ".join({"source": "IN", "target": "OUT"}.get(name, f"--{name.replace('_', '-')}") for name in names)
        raise UsageError(f"relay --file: {told} belongs into the relay file, not beside it.")
