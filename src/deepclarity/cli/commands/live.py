"""`deepclarity live`: a camera's picture, repaired as it comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deepclarity.cli import options, status_line


@click.command()
@click.option("--camera", default="0", metavar="N|DEVICE|lavfi:GRAPH", help="Which camera; 0 is the first.")
@click.option("--camera-size", metavar="WxH", help="Picture size to ask the camera for.")
@click.option("--camera-rate", metavar="N", help="Pictures a second to ask the camera for.")
@click.option("--view/--no-view", default=None, help="Show it in a window (default: where there is a display).")
@click.option("--virtual-camera", metavar="DEVICE|auto", help="Show it to other programs as a camera.")
@click.option("-o", "--output", metavar="FILE|rtsp://…", help="Record it into a file, or publish it.")
@options.live_shared
@click.option("-y", "--yes", is_flag=True, help="Replace the output if it exists.")
def live(
    camera: str,
    camera_size: str | None,
    camera_rate: str | None,
    view: bool | None,
    virtual_camera: str | None,
    output: str | None,
    yes: bool,
    **given: Any,
) -> None:
    """Repair what a camera sees, as it comes: in a window, a file, another camera, or on an RTSP server.

    In the window the mouse (button down) or the keys `a` and `d` move the line between before and after; `q` ends.
    """
    from deepclarity.errors import UsageError
    from deepclarity.pipelines.live.sinks import LiveJob
    from deepclarity.stream.live.window import display_found, display_works
    from deepclarity.stream.rtsp.address import camera_address, sink_address

    to_server = output is not None and "://" in output
    elsewhere = output is not None or virtual_camera is not None
    if view is None:
        view = display_found() and display_works()
    if not view and not elsewhere:
        raise UsageError("nowhere to show it: no display here. Add -o FILE, -o rtsp://…, or --virtual-camera.")
    preset, run = options.live_settings(given)
    job = LiveJob(
        camera_address(camera, size=camera_size, rate=camera_rate),
        server=sink_address(output, timeout_s=run.timeout_s) if output and to_server else None,
        file=Path(output) if output and not to_server else None,
        view=view,
        virtual_camera=virtual_camera,
        preset=preset,
        name="live",
        overwrite=yes,
        seconds=run.seconds,
        waiting=run.waiting,
    )
    status_line.run_live(job, run)
