"""Pipe sink: writes a video to standard output, raw or encoded, with the source's other tracks."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
from av.container import OutputContainer
from av.format import Flags as FormatFlags
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from deepclarity.errors import UsageError, did_you_mean
from deepclarity.stream import errors, planes
from deepclarity.stream.files.encode import Encoder, EncodeSettings
from deepclarity.stream.files.passthrough import Passthrough
from deepclarity.stream.frame import Frame
from deepclarity.stream.info import VideoInfo
from deepclarity.stream.interrupts import defer_interrupts
from deepclarity.stream.packets import AnyPacket

from .files import PipeWriter

log = logging.getLogger(__name__)

STANDARD_OUTPUT = Path("-")
FORMATS = {"nut": "nut", "mkv": "matroska", "y4m": "yuv4mpegpipe", "ts": "mpegts"}
"""Formats for pipes → FFmpeg's muxer."""
RAW_FORMATS = ("nut", "y4m")
"""Formats in which pictures are sent raw, unless a codec is asked for."""

_NAME = "standard output"
_WRITE_ERRORS = (av.error.FFmpegError, OSError, ValueError)
_GLOBAL_HEADER: int = FormatFlags.global_header.value  # type: ignore[assignment]
_OPTIONS = {
    "yuv4mpegpipe": {"strict": "-1"},  # for more than 8 bits
    "matroska": {"fflags": "+bitexact", "cluster_time_limit": "1000"},
}


def check_format(name: str, codec: str) -> None:
    """Raise UsageError if there is no such format for pipes, or it cannot hold `codec` (`auto`: whatever it holds)."""
    if name not in FORMATS:
        raise UsageError(f"--format {name}: unknown format for pipes; {did_you_mean(name, FORMATS)}")
    if name == "y4m" and codec not in ("auto", "raw"):
        raise UsageError(f"--format y4m: holds raw pictures only, not {codec}. Use nut, mkv or ts.")
    if name == "ts" and codec == "av1":
        raise UsageError("--format ts: cannot hold av1. Use nut or mkv.")


class PipeSink:
    """Writes a video to standard output: `with PipeSink(…) as sink: sink.write(frame)`.

    After an exception nothing more is written, not even the end of the file. A reader that goes away is a
    BrokenPipeError.
    """

    def __init__(
        self,
        name: str,
        *,
        info: VideoInfo,
        size: tuple[int, int],
        pixel_format: str,
        settings: EncodeSettings | None,
        passthrough: Passthrough | None = None,
    ) -> None:
        """`name`: one of `FORMATS`; `settings`: None for raw pictures; the rest as for `FileSink`."""
        self.busy_s = 0.0
        self.warnings: list[str] = []
        self._info, self._size = info, size
        self._pixel_format = pixel_format
        self._passthrough = passthrough
        self._muxer = FORMATS[name]
        self._start_s: Fraction | None = None
        self._frames = 0
        self._uneven = False
        self._encoder: Encoder | None = None
        self._writer = PipeWriter()
        try:
            self._container: OutputContainer = av.open(
                self._writer, "w", format=self._muxer, container_options=_OPTIONS.get(self._muxer, {})
            )
            self._stream = self._add_raw_video() if settings is None else self._add_encoded_video(settings)
            if passthrough is not None:
                passthrough.add_tracks(self._container, video=self._stream)
            self._keep_matrix(name)
            if settings is None and (info.mastering or info.light_level):
                self.warnings.append("HDR metadata left out: raw pictures have none; add --codec hevc to keep them")
        except _WRITE_ERRORS as error:
            self._writer.close()
            raise errors.write_failed(error, Path(_NAME)) from error
        except BaseException:
            self._writer.close()
            raise

    def _keep_matrix(self, name: str) -> None:
        if self._info.display_matrix is None:
            return
        if self._muxer == "matroska":
            self._stream.set_display_matrix(self._info.display_matrix)
        else:
            self.warnings.append(f"rotation left out: {name} cannot state it; use --format mkv, or rotate afterwards")

    def _add_raw_video(self) -> VideoStream:
        stream = self._container.add_stream("rawvideo", rate=self._info.rate or 25)
        assert isinstance(stream, VideoStream)
        context, info = stream.codec_context, self._info
        context.width, context.height = self._size
        context.pix_fmt = self._raw_format
        context.time_base = stream.time_base = info.time_base
        if not self._has_timestamps:
            context.time_base = stream.time_base = 1 / self._rate
        context.color_primaries = info.colour.primaries
        context.color_trc = info.colour.transfer
        context.colorspace = info.colour.matrix
        context.color_range = info.colour.range
        context.sample_aspect_ratio = info.sample_aspect
        return stream

    @property
    def _has_timestamps(self) -> bool:
        return self._muxer != "yuv4mpegpipe"

    @property
    def _rate(self) -> Fraction:
        return self._info.rate or Fraction(25)

    @property
    def _raw_format(self) -> str:
        """The pixel format without the label of full range, which raw formats state apart."""
        return self._pixel_format.replace("yuvj", "yuv")

    def _add_encoded_video(self, settings: EncodeSettings) -> VideoStream:
        stream = self._container.add_stream(settings.encoder, rate=self._info.rate or 25)
        assert isinstance(stream, VideoStream)
        stream.time_base = self._info.time_base
        self._encoder = Encoder(
            settings,
            self._info,
            size=self._size,
            pixel_format=self._pixel_format,
            global_header=bool(self._container.format.flags & _GLOBAL_HEADER),
            negative_dts=False,
        )
        self._encoder.context = self._encoder.configure(stream.codec_context)
        return stream

    def __enter__(self) -> PipeSink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish()
        finally:
            self._writer.discard = True
            with contextlib.suppress(*_WRITE_ERRORS):
                self._container.close()
            self._writer.close()

    def write(self, frame: Frame) -> None:
        """Write one frame, and the other tracks up to its time; waits for the reader, which SIGINT and SIGTERM end."""
        with defer_interrupts(self._writer.wait):
            self._write(frame)

    def _write(self, frame: Frame) -> None:
        started = time.perf_counter()
        picture = planes.prepare_for_encoder(
            self._picture(frame),
            pts=frame.pts,
            time_base=frame.time_base,
            duration=frame.duration,
            colour=self._info.colour,
        )
        if not self._has_timestamps:
            self._count_evenly(picture, frame)
        with self._translated_errors():
            if self._passthrough is not None:
                self._passthrough.mux_until(frame.pts * frame.time_base, self._container)
            if self._encoder:
                self._mux(self._encoder.packets(picture, frame.user_data))
            else:
                self._mux(self._stream.codec_context.encode(picture))
        self._frames += 1
        self.busy_s += time.perf_counter() - started

    def _picture(self, frame: Frame) -> VideoFrame:
        picture = frame.picture
        if self._encoder is None and self._raw_format != self._pixel_format:
            return planes.picture_of(frame.planes, self._raw_format)
        return picture if isinstance(picture, VideoFrame) else planes.picture_of(frame.planes, self._pixel_format)

    def _count_evenly(self, picture: VideoFrame, frame: Frame) -> None:
        """Number the picture instead of stating its time, and warn once if that moves it."""
        time_s = frame.pts * frame.time_base
        if self._start_s is None:
            self._start_s = time_s
        picture.pts, picture.time_base, picture.duration = self._frames, 1 / self._rate, 1
        if not self._uneven and abs(time_s - self._start_s - self._frames / self._rate) > 1 / self._rate / 2:
            self._uneven = True
            log.warning("y4m has no timestamps: from frame %d on, times are not kept; use --format nut", self._frames)

    def _finish(self) -> None:
        with defer_interrupts(self._writer.wait), self._translated_errors():
            self._mux(self._encoder.finish() if self._encoder else self._stream.codec_context.encode(None))
            if self._passthrough is not None:
                self._passthrough.mux_until(None, self._container)
            self._container.close()

    def _mux(self, packets: Iterable[AnyPacket]) -> None:
        for packet in packets:
            packet.stream = self._stream
            self._container.mux_one(packet)

    @contextlib.contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Raise what ended a write, or else FFmpeg's error as one of ours."""
        try:
            yield
        except BrokenPipeError:
            raise
        except _WRITE_ERRORS as error:
            self._writer.check()
            raise errors.write_failed(error, Path(_NAME)) from error
        self._writer.check()
