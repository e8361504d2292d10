"""The process behind `GstreamerServer`, for the system's Python: `python3 -m tests.rtsp.gstreamer_process`."""

from __future__ import annotations

import itertools
import queue
from typing import Any

import gi

from tests.rtsp.helper_process import Message, handle_commands, notify

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

_PATTERN = (
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,width={width},height={height},framerate={rate}/1"
    " ! x264enc tune=zerolatency speed-preset=ultrafast sliced-threads=false threads=1 key-int-max=15"
    " ! rtph264pay name=pay0 pt=96 config-interval=1 )"
)
_RECORD = (
    "( rtph264depay name=depay0 ! h264parse ! video/x-h264,alignment=au"
    " ! fakesink name=counter sync=false signal-handoffs=true )"
)


def main() -> None:
    """Serve until the test process has ended."""
    Gst.init(None)
    commands: queue.SimpleQueue[Message] = queue.SimpleQueue()
    handle_commands(lambda command, _: commands.put(command))
    command = commands.get()
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    width, height = command["size"]
    mounts = server.get_mount_points()
    mounts.add_factory("/pattern", _factory(_PATTERN.format(width=width, height=height, rate=command["rate"])))
    mounts.add_factory("/record", _recorder())
    server.attach(None)
    notify(port=server.get_bound_port())
    GLib.MainLoop().run()


def _factory(pipeline: str) -> Any:
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(pipeline)
    factory.set_shared(True)
    return factory


def _recorder() -> Any:
    factory = _factory(_RECORD)
    factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    count = itertools.count(1)

    def configure(_factory: Any, media: Any) -> None:
        counter = media.get_element().get_by_name("counter")
        counter.connect("handoff", lambda *_: notify(recorded=next(count)))

    factory.connect("media-configure", configure)
    return factory


if __name__ == "__main__":
    main()
