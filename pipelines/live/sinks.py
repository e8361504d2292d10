"""Live sinks: an RTSP server, a file, a window and a virtual camera, in any combination."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from deepclarity.errors import UsageError
from deepclarity.models.detectors import check_detector
from deepclarity.models.load import check_enhancer
from deepclarity.pipelines.fit import SizeRequest
from deepclarity.pipelines.preset import Preset
from deepclarity.stream.errors import check_readable
from deepclarity.stream.files.encode import EncodeSettings
from deepclarity.stream.files.output_path import check_writable, container_of
from deepclarity.stream.files.sink import FileSink
from deepclarity.stream.frame import Frame
from deepclarity.stream.info import VideoInfo
from deepclarity.stream.live.encode import LiveEncodeSettings
from deepclarity.stream.live.normalize import LIVE_PIXEL_FORMAT
from deepclarity.stream.live.rtsp_sink import RTP_AUDIO_CODECS, RtspSink
from deepclarity.stream.live.source import LiveSource
from deepclarity.stream.live.state import Timeouts
from deepclarity.stream.live.virtual_camera import VirtualCamera
from deepclarity.stream.live.window import Window
from deepclarity.stream.packets import RTP_TIME_BASE
from deepclarity.stream.rtsp.address import Address

from .stats import LiveStats

log = logging.getLogger(__name__)

_NO_RESTART = 1 << 40
"""Encoder restart interval in frames: recordings are never resumed, and each restart costs memory."""


@dataclass(frozen=True, slots=True)
class LiveJob:
    """One live stream: source, sinks and settings."""

    source: Address
    server: Address | None = None
    """An RTSP server to publish to."""
    file: Path | None = None
    """A file to record to."""
    view: bool = False
    """Whether to show before and after in a window."""
    virtual_camera: str | None = None
    """A loopback device to write to, or `auto`."""
    preset: Preset = field(default_factory=Preset)
    name: str = "live"
    """Label in the status line and the metrics."""
    audio: bool = True
    loop: bool = False
    """Restart a file at its end."""
    overwrite: bool = False
    seconds: float | None = None
    """Stop after this time; None: never."""
    timeouts: Timeouts = field(default_factory=Timeouts)

    @property
    def canvas(self) -> tuple[int, int]:
        """(width, height) of the output: constant, whatever the source sends."""
        width, height = SizeRequest.parse(self.preset.size).box
        if width % 2 or height % 2:
            raise UsageError(f"--size {self.preset.size}: live video needs an even width and height.")
        return width, height

    @property
    def encoding(self) -> LiveEncodeSettings:
        """Encoder settings for the RTSP server."""
        preset = self.preset
        if self.server is None:
            return LiveEncodeSettings()
        return LiveEncodeSettings("h264" if preset.codec == "auto" else preset.codec, preset.crf, preset.speed)

    def check(self) -> None:
        """Raise UsageError or SourceError for everything that can be found invalid before anything is opened."""
        if not re.fullmatch(r"[\w.-]+", self.name):
            raise UsageError("--name: use letters, digits, '.', '-' and '_' only: it labels metrics and logs.")
        if self.server is not None and self.source.same_endpoint(self.server):
            raise UsageError(f"{self.server.label}: the target is the source. Publish to another path.")
        if self.source.is_finite:
            check_readable(Path(self.source.url))
        check_enhancer(self.preset.model)
        check_detector(self.preset.method)
        _ = self.canvas, self.encoding  # raise UsageError when invalid


class LiveSinks:
    """Writes frames to all sinks of a job; all but the window are opened when the source's first frame arrives."""

    def __init__(self, job: LiveJob, source: LiveSource, stats: LiveStats) -> None:
        """Raises UsageError for invalid options, before anything is opened."""
        job.check()
        self.server: RtspSink | None = None
        self.window: Window | None = None
        self._job, self._source, self._stats = job, source, stats
        if job.file is not None:
            check_writable(job.file, source=None, overwrite=job.overwrite)
            container_of(job.file, self._file_settings(job.file).codec)
        if job.virtual_camera is not None and importlib.util.find_spec("pyvirtualcam") is None:
            raise UsageError("--virtual-camera needs pyvirtualcam: pip install 'deepclarity[virtual-camera]'")
        self._encoding = job.encoding
        self._writers: list[Callable[[Frame], None]] = []
        self._opened = False

    def open_window(self, stack: contextlib.ExitStack) -> None:
        """Open the window if one is wanted; before the camera, which may be slow to open."""
        if self._job.view:
            self.window = stack.enter_context(Window())

    def write(self, frame: Frame, before: Frame, stack: contextlib.ExitStack, *, status: Callable[[], str]) -> bool:
        """Write `frame` to every sink; `before` is the source frame it was made from, `status` the window's text.

        Returns whether the frame counts: until the source's first frame, only the window is written to. Sinks are
        closed with `stack`.
        """
        started = time.perf_counter()
        has_started = self._opened or (self._source.ever_connected and frame.placeholder is None)
        if has_started and not self._opened:
            self._open(stack)
        for write in self._writers:
            write(frame)
        if self._writers:
            self._stats.stages["encode"].add(time.perf_counter() - started)
        if self.window is not None:
            left = frame if before.placeholder else before
            self.window.show(frame, left, colour=self._source.colour, status=status())
        return has_started

    def _open(self, stack: contextlib.ExitStack) -> None:
        job, source, self._opened = self._job, self._source, True
        if job.server is not None:
            self.server = stack.enter_context(
                RtspSink(
                    job.server,
                    size=job.canvas,
                    rate=source.rate,
                    encoding=self._encoding.with_colour(source.colour),
                    audio_header=self._audio_header(),
                    timeout_s=job.timeouts.open_s,
                    on_written=self._on_written,
                )
            )
            self._writers.append(self._publish)
        if job.file is not None:
            self._writers.append(stack.enter_context(self._file_sink(job.file)).write)
        if job.virtual_camera is not None:
            camera = VirtualCamera(job.virtual_camera, size=job.canvas, rate=float(source.rate))
            self._writers.append(stack.enter_context(camera).write)

    def _publish(self, frame: Frame) -> None:
        assert self.server is not None
        while self._source.audio:
            self.server.write_audio(self._source.audio.popleft())
        self.server.write(frame)

    def _on_written(self, age_s: float | None) -> None:
        self._stats.departures.tick()
        if age_s is not None:
            self._stats.record_latency(age_s)

    def _audio_header(self) -> bytes | None:
        """A sample of the source's audio, or None if it has none or RTSP cannot carry it."""
        kind = self._source.audio_format
        if kind is not None and kind.codec not in RTP_AUDIO_CODECS:
            log.warning("%s: its %s audio cannot be sent over RTSP and is left out", self._job.name, kind.codec)
            return None
        return self._source.nut_header if kind is not None else None

    def _file_sink(self, path: Path) -> FileSink:
        source, canvas = self._source, self._job.canvas
        info = VideoInfo(
            source.address.label, *canvas, LIVE_PIXEL_FORMAT, RTP_TIME_BASE, rate=source.rate, colour=source.colour
        )
        return FileSink(
            path, info=info, size=canvas, pixel_format=LIVE_PIXEL_FORMAT, settings=self._file_settings(path)
        )

    def _file_settings(self, path: Path) -> EncodeSettings:
        preset, codec = self._job.preset, self._job.preset.codec
        if codec == "auto":
            codec = "av1" if path.suffix.lower() == ".webm" else "h264"
        return EncodeSettings(codec, preset.crf, preset.speed, restart_every=_NO_RESTART)
