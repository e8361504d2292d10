"""Copies the tracks that are not repaired, packet by packet, beside the video."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
from av.bitstream import BitStreamFilterContext
from av.container import OutputContainer
from av.stream import AttachmentStream, Disposition, Stream

from deepclarity.stream.packets import AnyPacket

from .demux import open_input, packets_of
from .timestamps import MonotonicTimestamps

_NOT_OURS = {"encoder", "duration", "bps", "number_of_frames", "number_of_bytes", "rotate"}
_COVERS = {"mjpeg": "jpeg", "png": "png"}
_ABOUT_THE_FILE = {"major_brand", "minor_version", "compatible_brands", "encoder"}


class Passthrough:
    """All tracks of a file but one, read a second time so that sound never waits for pictures.

    Read along by the sink: memory stays flat however badly the file is interleaved.
    """

    def __init__(self, path: Path, *, but: int, demuxer: str | None = None) -> None:
        """`but`: index of the stream that is repaired and so not copied. `demuxer`: see `open_input`."""
        self._path = path
        self._container = open_input(path, demuxer=demuxer)
        self._main = self._container.streams[but]
        self._streams = [s for s in self._container.streams if s.index != but]
        self._outputs: dict[int, Stream] = {}
        self._filters: dict[int, BitStreamFilterContext] = {}
        self._covers: list[Stream] = []
        self._packets: Iterator[AnyPacket] = iter(())
        self._next: AnyPacket | None = None
        self.left_out: list[str] = []
        """One line for every track that the output's container cannot hold."""
        self.damaged = 0
        """Pieces that could not be read."""
        self.retimed = 0
        """Packets whose time ran backwards and was moved."""
        self._clocks: dict[int, MonotonicTimestamps] = {}

    def __enter__(self) -> Passthrough:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._packets = iter(())  # a demuxer must not outlive its file
        self._container.close()

    def attach(self, output: OutputContainer, *, video: Stream) -> None:
        """Add a track to `output` for every one that it can hold; copy tags and chapters."""
        for stream in self._streams:
            if isinstance(stream, AttachmentStream):
                self._attach_file(output, stream)
            elif stream.disposition & Disposition.attached_pic:
                self._attach_cover(output, stream)
            elif is_chapter_track(stream, chapters=self.has_chapters):
                continue
            elif _can_hold(output.format.name, stream):
                copy = output.add_stream_from_template(stream, opaque=True)
                copy_tags(stream, copy)
                self._outputs[stream.index] = copy
                if _is_adts(stream) and output.format.name in ("mp4", "mov"):
                    self._filters[stream.index] = BitStreamFilterContext("aac_adtstoasc", stream)
            else:
                self._leave_out(output, stream)
        copy_tags(self._main, video)
        self.describe(output)
        copied = [s for s in self._streams if s.index in self._outputs]
        self._packets = packets_of(self._container, copied, damaged=self._count_damage) if copied else iter(())
        self._next = self._read()

    def describe(self, output: OutputContainer) -> None:
        """Copy what is said of the file as a complete: its metadata and chapters."""
        about = {k: v for k, v in self._container.metadata.items() if k.lower() not in _ABOUT_THE_FILE}
        output.metadata.update(about)
        chapters = self._container.chapters()
        if chapters:
            output.set_chapters(chapters)

    @property
    def has_chapters(self) -> bool:
        """Whether the source has chapters."""
        return bool(self._container.chapters())

    @property
    def starts_below_zero(self) -> bool:
        """Whether any track, the video's own among them, begins before time zero."""
        return any((stream.start_time or 0) < 0 for stream in self._container.streams)

    def until(self, time_s: Fraction | None) -> Iterator[AnyPacket]:
        """Packets, addressed to the output, whose time is not after `time_s`; None: all that are left."""
        while self._next is not None and (time_s is None or _time_of(self._next) <= time_s):
            packet, self._next = self._next, self._read()
            self._keep_monotonic(packet)
            output, undo = self._outputs[packet.stream.index], self._filters.get(packet.stream.index)
            for ready in undo.filter(packet) if undo else [packet]:
                ready.stream = output
                yield ready

    def _read(self) -> AnyPacket | None:
        return next((packet for packet in self._packets if packet.dts is not None or packet.pts is not None), None)

    def _keep_monotonic(self, packet: AnyPacket) -> None:
        """Muxers refuse decoding times that fall; a file joined from parts has them."""
        if packet.dts is None:
            return
        clock = self._clocks.setdefault(packet.stream.index, MonotonicTimestamps(step=packet.duration or 1))
        same = clock.last == packet.dts and packet.stream.type == "subtitle"  # two lines shown at once
        placed = packet.dts if same else clock.place(packet.dts)
        if placed != packet.dts:
            self.retimed += 1
            packet.pts = placed if packet.pts is None else packet.pts + placed - packet.dts
            packet.dts = placed

    def _count_damage(self) -> None:
        self.damaged += 1

    def _attach_file(self, output: OutputContainer, stream: AttachmentStream) -> None:
        if "matroska" not in output.format.name:
            self._leave_out(output, stream)
            return
        name = stream.metadata.get("filename", f"attachment-{stream.index}")
        output.add_attachment(name, stream.mimetype or "application/octet-stream", stream.data)

    def _attach_cover(self, output: OutputContainer, stream: Stream) -> None:
        """Matroska keeps a cover as an attachment; ISO files get it when they are finished."""
        kind = _COVERS.get(stream.codec_context.name if stream.codec_context is not None else "")
        if kind is None or output.format.name == "webm":
            self._leave_out(output, stream)
        elif "matroska" in output.format.name:
            name = stream.metadata.get("filename", f"cover.{kind}")
            output.add_attachment(name, f"image/{kind}", bytes(self._cover_packet(stream)))
        else:
            self._covers.append(stream)

    def add_covers(self, output: OutputContainer) -> list[AnyPacket]:
        """Add the tracks of cover pictures to a finished ISO file; their packets."""
        packets = []
        for stream in self._covers:
            packet = self._cover_packet(stream)
            packet.stream = output.add_stream_from_template(stream, opaque=True)
            copy_tags(stream, packet.stream)
            packets.append(packet)
        return packets

    def _cover_packet(self, stream: Stream) -> AnyPacket:
        with open_input(self._path) as container:
            for packet in container.demux(container.streams[stream.index]):
                if packet.size:
                    return packet
        raise av.error.InvalidDataError(0, "a cover track without a picture", self._container.name)

    def _leave_out(self, output: OutputContainer, stream: Stream) -> None:
        what = stream.codec_context.name if stream.codec_context is not None else stream.type
        language = f" [{stream.language}]" if stream.language else ""
        self.left_out.append(
            f"track {stream.index} ({stream.type} {what}{language}) left out: "
            f"{output.format.name.split(',')[0]} cannot hold it; choose an .mkv output to keep it"
        )


def copy_tags(source: Stream, target: Stream) -> None:
    """Disposition, language and all other metadata that is about the content, not about the old encoding."""
    target.disposition = source.disposition
    for key, value in source.metadata.items():
        if key.lower().split("-")[0] not in _NOT_OURS and not key.startswith("_STATISTICS"):
            target.metadata[key] = value


def _time_of(packet: AnyPacket) -> Fraction:
    moment = packet.dts if packet.dts is not None else packet.pts
    assert moment is not None
    return moment * packet.time_base


def _is_adts(stream: Stream) -> bool:
    """AAC with a header in every packet, as broadcasts have it: ISO files want one for the complete track."""
    context = stream.codec_context
    return context is not None and context.name == "aac" and not context.extradata


def is_chapter_track(stream: Stream, *, chapters: bool) -> bool:
    """ISO files keep their chapters in a text track as well; the muxer writes its own."""
    return chapters and stream.type == "data" and stream.metadata.get("handler_name") == "SubtitleHandler"


def _can_hold(container: str, stream: Stream) -> bool:
    """Whether a container takes this track: asked of the muxer itself, in memory."""
    if stream.type == "unknown":
        return False
    try:
        with av.open(io.BytesIO(), "w", format=container.split(",", maxsplit=1)[0]) as trial:
            copy = trial.add_stream_from_template(stream, opaque=True)
            copy.disposition = stream.disposition & ~Disposition.attached_pic
            trial.start_encoding()
    except (av.error.FFmpegError, ValueError, RuntimeError):
        return False
    return True
