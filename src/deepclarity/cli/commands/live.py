"""`deepclarity live`: repair a camera stream in real time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deepclarity.cli import options, status_line


@click.command()
@click.option("--camera", default="0", metavar="N|DEVICE|lavfi:GRAPH", help="Camera to read. Default: 0, the first.")
@click.option("--camera-size", metavar="WxH", help="Frame size to request from the camera.")
@click.option("--camera-rate", metavar="N", help="Frame rate to request from the camera, in frames per second.")
@click.option("--view/--no-view", default=None, help="Show the stream in a window. Default: if a display is available.")
@click.option("--virtual-camera", metavar="DEVICE|auto", help="Feed a camera device for other programs.")
@click.option("-o", "--output", metavar="FILE|rtsp://…", help="Record to a file, or publish to an RTSP server.")
@options.live_options
@options.overwrite
def live(
    camera: str,
    camera_size: str | None,
    camera_rate: str | None,
    view: bool | None,
    virtual_camera: str | None,
    output: str | None,
    yes: bool,
    **values: Any,
) -> None:
    """Repair a camera stream in real time.

    The output is a window, a file, a virtual camera or an RTSP server. In the window, drag the mouse or press `a` and
    `d` to move the line between before and after; press `q` to quit. Options override the values of the preset.
    """
    from deepclarity.errors import UsageError
    from deepclarity.pipelines.live.sinks import LiveJob
    from deepclarity.stream.live.window import display_works, has_display
    from deepclarity.stream.rtsp.address import camera_address, sink_address

    to_server = output is not None and "://" in output
    other_output = output is not None or virtual_camera is not None
    if view is None:
        view = has_display() and display_works()
    if not view and not other_output:
        raise UsageError("no output: no display is available. Add -o FILE, -o rtsp://…, or --virtual-camera.")
    preset, run = options.parse_live(values)
    peer: dict[str, Any] = {"timeout_s": run.timeout_s, "insecure_tls": run.insecure_tls}
    job = LiveJob(
        camera_address(camera, size=camera_size, rate=camera_rate),
        server=sink_address(output, **peer) if output and to_server else None,
        file=Path(output) if output and not to_server else None,
        view=view,
        virtual_camera=virtual_camera,
        preset=preset,
        name="live",
        overwrite=yes,
        seconds=run.seconds,
        timeouts=run.timeouts,
    )
    status_line.run_live(job, run)
