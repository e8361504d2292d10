"""GStreamer's RTSP server and the `ffmpeg` command, for interoperability tests."""

from __future__ import annotations

import contextlib
import functools
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.rtsp.helper_process import HelperProcess, Message
from tests.rtsp.wait import wait_until

_SYSTEM_PYTHON = "/usr/bin/python3"
"""The Python that Debian's `gi` is installed for."""
_ELEMENTS = ("videotestsrc", "x264enc", "rtph264pay", "rtph264depay", "h264parse", "fakesink")
_PROBE = f"""
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
print(*(name for name in {_ELEMENTS} if Gst.ElementFactory.find(name) is None))
"""
_PROBE_S = 30.0
_TIMEOUT_S = 10.0


@functools.cache
def missing_gstreamer() -> str | None:
    """Missing requirements of these tests, as a sentence; None if all are installed."""
    if not Path(_SYSTEM_PYTHON).exists():
        return f"GStreamer's server needs {_SYSTEM_PYTHON}."
    probe = subprocess.run(
        [_SYSTEM_PYTHON, "-c", _PROBE], capture_output=True, text=True, timeout=_PROBE_S, check=False
    )
    if probe.returncode:
        return "GStreamer's RTSP server is not installed: apt-get install python3-gi gir1.2-gst-rtsp-server-1.0."
    if probe.stdout.strip():
        return f"GStreamer lacks {probe.stdout.strip()}: apt-get install gstreamer1.0-plugins-{{base,good,bad,ugly}}."
    return missing_ffmpeg()


def missing_ffmpeg() -> str | None:
    """A sentence if there is no `ffmpeg` command, else None."""
    return None if shutil.which("ffmpeg") else "The ffmpeg command is not installed: apt-get install ffmpeg."


class GstreamerServer:
    """GStreamer's RTSP server: a moving ball to play at `pattern`, and `record`, which takes H.264 and counts it."""

    def __init__(self, *, size: tuple[int, int] = (640, 360), rate: int = 25) -> None:
        self.port = 0
        self.recorded = 0
        """Number of access units received at `record`."""
        self._process = HelperProcess("tests.rtsp.gstreamer_process", self._on_message, python=_SYSTEM_PYTHON)
        self._process.send_command({"size": size, "rate": rate})

    def __enter__(self) -> Self:
        """Start the server and wait until it listens."""
        try:
            wait_until(lambda: self.port, timeout_s=_TIMEOUT_S, what="GStreamer's server")
        except AssertionError:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def url(self, path: str) -> str:
        """The address of `pattern` or `record`."""
        return f"rtsp://127.0.0.1:{self.port}/{path}"

    def wait_for_recorded(self, count: int, *, timeout_s: float = 15.0) -> None:
        """Wait until `count` access units have been received in total."""
        wait_until(
            lambda: self.recorded >= count, timeout_s=timeout_s, what=lambda: f"{self.recorded} of {count} units"
        )

    def stop(self) -> None:
        """Kill the server."""
        self._process.stop()

    def _on_message(self, message: Message) -> None:
        self.port = message.get("port", self.port)
        self.recorded = message.get("recorded", self.recorded)


def ffmpeg_read(url: str, *, seconds: float = 3.0, transport: str = "tcp") -> int:
    """Number of pictures that the `ffmpeg` command decodes in the first `seconds` of a stream."""
    source = ["-rtsp_transport", transport, "-i", url, "-t", str(seconds), "-map", "0:v", "-f", "null", "-"]
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-progress", "pipe:1", *source]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + _TIMEOUT_S, check=False)
    counts = re.findall(r"(?m)^frame=\s*(\d+)", done.stdout)
    assert counts, done.stderr[-2000:]
    return int(counts[-1])


@contextlib.contextmanager
def ffmpeg_publisher(url: str, *, size: tuple[int, int] = (640, 360), rate: int = 25) -> Iterator[None]:
    """Context manager: the `ffmpeg` command publishes its test pattern to `url`, in real time."""
    pattern = f"testsrc2=size={size[0]}x{size[1]}:rate={rate}"
    quick = ["-preset", "ultrafast", "-tune", "zerolatency", "-threads", "1"]
    coded = ["-c:v", "libx264", *quick, "-g", "15", "-bf", "0", "-pix_fmt", "yuv420p"]
    source = ["-re", "-f", "lavfi", "-i", pattern, *coded]
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error", *source, "-f", "rtsp"]
    process = subprocess.Popen([*command, "-rtsp_transport", "tcp", url])
    try:
        yield
    finally:
        process.kill()
        process.wait(_TIMEOUT_S)
