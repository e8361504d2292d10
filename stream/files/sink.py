"""File sink: writes to a partial file that is readable at any moment, renamed when complete."""

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
from deepclarity.stream.interrupts import interrupts_deferred
from deepclarity.stream.packets import AnyPacket

from . import resume
from .encode import Encoder, EncodeSettings
from .faststart import fast_start
from .output_path import container_of, partial_path
from .passthrough import Passthrough
from .resume import PartialOutput

_FRAGMENTS = {
    "movflags": "+delay_moov+empty_moov+default_base_moof",
    "frag_duration": "1000000",  # µs: a kill costs at most the last second
    "use_editlist": "1",
    "avoid_negative_ts": "disabled",
    "flush_packets": "1",
}
_GLOBAL_HEADER: int = FormatFlags.global_header.value  # type: ignore[assignment]
_FAILURES = (av.error.FFmpegError, OSError, ValueError)
_CLUSTERS = {"cluster_time_limit": "1000", "flush_packets": "1"}


class Sink(Protocol):
    """Where frames leave the pipeline."""

    busy_s: float
    """Seconds spent encoding and writing."""
    warnings: list[str]

    def write(self, frame: Frame) -> None: ...


class FileSink:
    """A video file being written, with the source's other tracks copied beside it.

    `with FileSink(path, …) as sink:` and a clean end: the file stands under its own name. On any exception
    nothing stands there: what was done so far is kept, playable, under `partial`.
    """

    def __init__(
        self,
        path: Path,
        *,
        info: VideoInfo,
        size: tuple[int, int],
        planar: str,
        settings: EncodeSettings,
        passthrough: Passthrough | None = None,
        partial_output: PartialOutput | None = None,
        resume_token: resume.ResumeToken | None = None,
    ) -> None:
        """Open `path`'s temporary file. `info` describes the output: the source's, with what a resize changed.

        `partial_output`: the part that an earlier run left; its frames are taken from there when they are written.
        `resume_token`: what a later run must match to resume this one.

        Raises OutputError where it cannot be written, UsageError for a container or codec that does not fit.
        """
        self.path = path
        self.partial = partial_path(path)
        self.busy_s = 0.0
        self.frames = 0
        self.warnings: list[str] = []
        self._writing = False
        self._intact = False
        self._info = info
        self._planar = planar
        self._passthrough = passthrough
        self._resumed = partial_output.frames if partial_output else 0
        self._old_packets = partial_output.packets() if partial_output else _nothing()
        self._muxer = container_of(path, settings.codec)
        self._fragmented = self._muxer in ("mp4", "mov")
        try:
            self._container = self._open()
        except _FAILURES as error:
            raise errors.write_failed(error, path) from error

        flags = self._container.format.flags
        self._encoder = Encoder(
            settings,
            info,
            size=size,
            planar=planar,
            global_header=bool(flags & _GLOBAL_HEADER),
            negative_dts=self._fragmented,
        )
        try:
            self._stream = self._add_video(settings)
            if resume_token is not None:
                resume.save_resume_token(self.partial, resume_token)
        except _FAILURES as error:
            self._abandon()
            raise errors.write_failed(error, path) from error

    def _open(self) -> OutputContainer:
        options = dict(_FRAGMENTS if self._fragmented else _CLUSTERS)
        if not self._fragmented and not self._starts_below_zero():
            options["avoid_negative_ts"] = "disabled"
        return av.open(str(self.partial.absolute()), "w", format=self._muxer, container_options=options)

    def _starts_below_zero(self) -> bool:
        """Matroska has no times below zero: then all tracks are moved up together."""
        return self._passthrough is not None and self._passthrough.starts_below_zero

    def _add_video(self, settings: EncodeSettings) -> VideoStream:
        stream = self._container.add_stream(settings.encoder, rate=self._info.rate or 25)
        assert isinstance(stream, VideoStream)
        stream.time_base = self._info.time_base
        self._encoder.context = self._encoder.configure(stream.codec_context)
        if self._fragmented and settings.codec == "hevc":
            stream.codec_tag = "hvc1"  # the tag that Apple's players know
        if self._passthrough is not None:
            self._passthrough.attach(self._container, video=stream)
            self.warnings += self._passthrough.left_out
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
        except _FAILURES as failure:
            if not self._intact:
                self._salvage(flush=False)
            raise errors.write_failed(failure, self.path) from failure

    def write(self, frame: Frame) -> None:
        """Encode one frame and write what is ready, the other tracks up to its time with it.

        A signal that arrives meanwhile is raised when the frame is written.
        """
        with interrupts_deferred():
            self._write(frame)

    def _write(self, frame: Frame) -> None:
        began = time.perf_counter()
        picture = self._dressed(frame)
        self._writing = True
        try:
            if self._passthrough is not None:
                self._container.mux(list(self._passthrough.until(frame.pts * frame.time_base)))
            if self.frames < self._resumed:
                self._encoder.skip(frame.pts)
                self._mux(itertools.islice(self._old_packets, 1))
            else:
                self._mux(self._encoder.packets(picture))
        except _FAILURES as error:
            raise errors.write_failed(error, self.path) from error
        self._writing = False
        self.frames += 1
        self.busy_s += time.perf_counter() - began

    def _dressed(self, frame: Frame) -> VideoFrame:
        return planes.dress(
            self._picture(frame),
            pts=frame.pts,
            time_base=frame.time_base,
            duration=frame.duration,
            colour=self._info.colour,
        )

    def _picture(self, frame: Frame) -> VideoFrame:
        if isinstance(frame.picture, VideoFrame):
            return frame.picture
        return planes.picture_of(frame.planes, self._planar)

    def _mux(self, packets: Iterable[AnyPacket]) -> None:
        for packet in packets:
            packet.stream = self._stream
            self._container.mux_one(packet)

    def _finish(self) -> None:
        """Write what is left, make it fast to start, and give it its name."""
        began = time.perf_counter()
        self._mux(self._encoder.finish())
        if self._passthrough is not None:
            for packet in self._passthrough.until(None):
                self._container.mux_one(packet)
        self._container.close()
        self._intact = True
        if self._fragmented:
            intact = self.partial.with_name(f"{self.partial.stem}.complete{self.path.suffix}")
            try:
                fast_start(self.partial, intact, muxer=self._muxer, tags=self._passthrough, info=self._info)
                intact.replace(self.path)
            except BaseException:
                intact.unlink(missing_ok=True)
                raise
            self.partial.unlink()
        else:
            self.partial.replace(self.path)
        self._old_packets.close()  # the file that it reads is removed now
        resume.forget(self.partial)
        self.busy_s += time.perf_counter() - began

    def _salvage(self, *, flush: bool) -> None:
        """After an error: keep what was done, readable, under the partial name.

        `flush`: write what the encoder still holds. Not after a write has failed: the packets it had in hand are
        lost, and those behind them would follow a hole.
        """
        with contextlib.suppress(*_FAILURES):  # the error that brought us here matters more
            if flush:
                self._mux(self._encoder.finish())
        with contextlib.suppress(*_FAILURES):
            self._container.close()
        if self.frames <= self._resumed:
            self.partial.unlink(missing_ok=True)
            resume.put_back(self.partial)
            resume.forget_unless_kept(self.partial)

    def _abandon(self) -> None:
        with contextlib.suppress(*_FAILURES):  # already failing; nothing here may hide why
            self._container.close()
        self.partial.unlink(missing_ok=True)
        resume.put_back(self.partial)
        resume.forget_unless_kept(self.partial)


def _nothing() -> Generator[AnyPacket, None, None]:
    yield from ()
