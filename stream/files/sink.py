"""File sink: encodes into a partial file that is playable at any time, renamed when complete."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Generator, Iterable
from pathlib import Path
from types import TracebackType
from typing import Protocol

import av
from av.container import OutputContainer
from av.format import Flags as FormatFlags
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from deepclarity.stream import errors, planes
from deepclarity.stream.frame import Frame
from deepclarity.stream.info import VideoInfo
from deepclarity.stream.interlaced.bwdif import FieldLabel
from deepclarity.stream.interrupts import defer_interrupts
from deepclarity.stream.packets import AnyPacket

from . import resume
from .encode import Encoder, EncodeSettings
from .faststart import remux_faststart
from .output_path import container_of, partial_path
from .passthrough import Passthrough
from .resume import PartialOutput

_FRAGMENTED_ISO_OPTIONS = {
    "movflags": "+delay_moov+empty_moov+default_base_moof",
    "frag_duration": "1000000",  # µs: a killed run loses at most its last second
    "use_editlist": "1",
    "avoid_negative_ts": "disabled",
    "flush_packets": "1",
}
_GLOBAL_HEADER: int = FormatFlags.global_header.value  # type: ignore[assignment]
_WRITE_ERRORS = (av.error.FFmpegError, OSError, ValueError)
_MATROSKA_OPTIONS = {"cluster_time_limit": "1000", "flush_packets": "1"}


class Sink(Protocol):
    """Protocol of a destination of frames."""

    busy_s: float
    """Seconds spent encoding and writing."""
    warnings: list[str]
    """Messages for the user, for example about skipped tracks."""

    def write(self, frame: Frame) -> None: ...


class FileSink:
    """Writes a video file and copies the source's other tracks into it.

    `with FileSink(path, …) as sink: sink.write(frame)`. The file gets its name when the block ends without an
    exception. After an exception there is no file of that name: the frames so far are kept, playable, in `partial`.
    """

    def __init__(
        self,
        path: Path,
        *,
        info: VideoInfo,
        size: tuple[int, int],
        pixel_format: str,
        settings: EncodeSettings,
        passthrough: Passthrough | None = None,
        partial_output: PartialOutput | None = None,
        resume_token: resume.ResumeToken | None = None,
    ) -> None:
        """Open the partial file of `path`.

        `info`: properties of the output, which are the source's apart from what a resize changes. `size`: (width,
        height) in pixels. `pixel_format`: planar format of all frames. `partial_output`: the output of an interrupted
        run; its packets are copied instead of encoding their frames again. `resume_token`: saved for a later resume.

        Raises OutputError if the file cannot be written, UsageError if the container does not support the codec.
        """
        self.path = path
        self.partial = partial_path(path)
        self.busy_s = 0.0
        self.frames = 0
        self.warnings: list[str] = []
        self._writing = False
        self._closed = False
        self._info = info
        self._pixel_format = pixel_format
        self._passthrough = passthrough
        self._field_label = FieldLabel()
        self._resumed_frames = partial_output.frames if partial_output else 0
        self._resumed_packets = partial_output.packets() if partial_output else _no_packets()
        self._muxer = container_of(path, settings.codec)
        self._fragmented = self._muxer in ("mp4", "mov")
        try:
            self._container = self._open()
        except _WRITE_ERRORS as error:
            raise errors.write_failed(error, path) from error

        flags = self._container.format.flags
        self._encoder = Encoder(
            settings,
            info,
            size=size,
            pixel_format=pixel_format,
            global_header=bool(flags & _GLOBAL_HEADER),
            negative_dts=self._fragmented,
        )
        try:
            self._stream = self._add_video(settings)
            if resume_token is not None:
                resume.save_resume_token(self.partial, resume_token)
        except _WRITE_ERRORS as error:
            self._abandon()
            raise errors.write_failed(error, path) from error

    def _open(self) -> OutputContainer:
        options = dict(_FRAGMENTED_ISO_OPTIONS if self._fragmented else _MATROSKA_OPTIONS)
        if not self._fragmented and not self._starts_before_zero():
            options["avoid_negative_ts"] = "disabled"
        return av.open(str(self.partial.absolute()), "w", format=self._muxer, container_options=options)

    def _starts_before_zero(self) -> bool:
        """Whether all tracks must be shifted together, as Matroska has no negative timestamps."""
        return self._passthrough is not None and self._passthrough.starts_before_zero

    def _add_video(self, settings: EncodeSettings) -> VideoStream:
        stream = self._container.add_stream(settings.encoder, rate=self._info.rate or 25)
        assert isinstance(stream, VideoStream)
        stream.time_base = self._info.time_base
        self._encoder.context = self._encoder.configure(stream.codec_context)
        if self._fragmented and settings.codec == "hevc":
            stream.codec_tag = "hvc1"  # required by Apple's players
        if self._passthrough is not None:
            self._passthrough.add_tracks(self._container, video=stream)
            self.warnings += self._passthrough.skipped
        if self._info.display_matrix is not None:
            stream.set_display_matrix(self._info.display_matrix)
        return stream

    def __enter__(self) -> FileSink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._salvage(flush=not self._writing)
            return
        try:
            self._finish()
        except _WRITE_ERRORS as failure:
            if not self._closed:
                self._salvage(flush=False)
            raise errors.write_failed(failure, self.path) from failure

    def write(self, frame: Frame) -> None:
        """Encode one frame; write the packets that are ready, and the other tracks up to its time.

        SIGINT and SIGTERM are deferred until the frame has been written.
        """
        with defer_interrupts():
            self._write(frame)

    def _write(self, frame: Frame) -> None:
        started = time.perf_counter()
        picture = self._encoder_picture(frame)
        self._writing = True
        try:
            if self._passthrough is not None:
                self._container.mux(list(self._passthrough.packets_until(frame.pts * frame.time_base)))
            if self.frames < self._resumed_frames:
                self._encoder.skip(frame.pts)
                self._mux(itertools.islice(self._resumed_packets, 1))
            else:
                self._mux(self._encoder.packets(picture))
        except _WRITE_ERRORS as error:
            raise errors.write_failed(error, self.path) from error
        self._writing = False
        self.frames += 1
        self.busy_s += time.perf_counter() - started

    def _encoder_picture(self, frame: Frame) -> VideoFrame:
        return planes.prepare_for_encoder(
            self._picture(frame),
            pts=frame.pts,
            time_base=frame.time_base,
            duration=frame.duration,
            colour=self._info.colour,
        )

    def _picture(self, frame: Frame) -> VideoFrame:
        if isinstance(frame.picture, VideoFrame):
            return frame.picture
        picture = planes.picture_of(frame.planes, self._pixel_format)
        return picture if frame.field_order is None else self._field_label(picture, frame.field_order)

    def _mux(self, packets: Iterable[AnyPacket]) -> None:
        for packet in packets:
            packet.stream = self._stream
            self._container.mux_one(packet)

    def _finish(self) -> None:
        """Flush the encoder and the other tracks, apply faststart to ISO files, and rename the file."""
        started = time.perf_counter()
        self._mux(self._encoder.finish())
        if self._passthrough is not None:
            for packet in self._passthrough.packets_until(None):
                self._container.mux_one(packet)
        self._container.close()
        self._closed = True
        if self._fragmented:
            faststart = resume.faststart_path(self.partial)
            try:
                remux_faststart(
                    self.partial, faststart, muxer=self._muxer, passthrough=self._passthrough, info=self._info
                )
                faststart.replace(self.path)
            except BaseException:
                faststart.unlink(missing_ok=True)
                raise
            self.partial.unlink()
        else:
            self.partial.replace(self.path)
        self._resumed_packets.close()  # before the file it reads is removed
        resume.remove_resume_files(self.partial)
        self.busy_s += time.perf_counter() - started

    def _salvage(self, *, flush: bool) -> None:
        """After an error: keep the frames so far, playable, in the partial file.

        `flush`: write the encoder's remaining packets. Not after a failed write: its packets are lost, and the
        following ones would come after a gap.
        """
        with contextlib.suppress(*_WRITE_ERRORS):  # must not hide the original error
            if flush:
                self._mux(self._encoder.finish())
        with contextlib.suppress(*_WRITE_ERRORS):
            self._container.close()
        if self.frames <= self._resumed_frames:
            self._restore_previous()

    def _abandon(self) -> None:
        with contextlib.suppress(*_WRITE_ERRORS):  # must not hide the original error
            self._container.close()
        self._restore_previous()

    def _restore_previous(self) -> None:
        """Remove the partial file, and give that of the interrupted run its name back if there is one."""
        self.partial.unlink(missing_ok=True)
        resume.restore_partial(self.partial)
        resume.remove_stale_token(self.partial)


def _no_packets() -> Generator[AnyPacket, None, None]:
    yield from ()
