"""Stream copy of all tracks except the repaired video: audio, subtitles, attachments, cover pictures, chapters."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer, OutputContainer
from av.stream import AttachmentStream, Disposition, Stream
from av.subtitles.stream import SubtitleStream

from deepclarity.stream.packets import AnyPacket

from .demux import demux_packets, open_input
from .timestamps import MonotonicTimestamps
from .tracks.subtitles import ASS_HEADER, TARGETS
from .tracks.support import is_adts, is_chapter_track, supports
from .tracks.text_tracks import converted_packet, text_codec
from .tracks.timecode import TAG, is_timecode_track, timecode_of
from .tracks.trial import TrialTrack

_ENCODING_TAGS = {"encoder", "duration", "bps", "number_of_frames", "number_of_bytes", "rotate"}
_INVALID_DATA = 1094995529
"""FFmpeg's AVERROR_INVALIDDATA."""
_REFUSED = {errno.EINVAL, _INVALID_DATA}
"""Errors of a muxer about a packet, not about the disk."""
_COVER_TYPES = {"mjpeg": "jpeg", "png": "png"}
_CONTAINER_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder"}


class Passthrough:
    """Copies all tracks of a file except one.

    It demuxes the file a second time, as far as the sink has written video: memory use stays constant however badly
    the file is interleaved.
    """

    def __init__(
        self, path: Path, *, exclude: int, demuxer: str | None = None, container: InputContainer | None = None
    ) -> None:
        """`exclude`: index of the video stream that is repaired, not copied. `demuxer`: see `open_input`.

        `container`: the open file, if it cannot be opened a second time.
        """
        self._path = path
        self._container = container or open_input(path, demuxer=demuxer)
        self._main = self._container.streams[exclude]
        self._streams = [s for s in self._container.streams if s.index != exclude]
        self._outputs: dict[int, Stream] = {}
        self._filters: dict[int, BitStreamFilterContext] = {}
        self._converted: dict[int, tuple[str, str]] = {}
        """Codecs of the subtitle tracks that are converted: source, target."""
        self._covers: list[Stream] = []
        self._packets: Iterator[AnyPacket] = iter(())
        self._next: AnyPacket | None = None
        self.skipped: list[str] = []
        """A message for each track, or property of one, that the output does not hold."""
        self.damaged = 0
        """Packets that could not be read, or have no time."""
        self.late = 0
        """Packets of tracks that the file did not announce at its beginning: they are left out."""
        self.retimed = 0
        """Packets whose DTS did not increase and was corrected."""
        self._clocks: dict[int, MonotonicTimestamps] = {}
        self._trials: dict[int, TrialTrack] = {}

    def __enter__(self) -> Passthrough:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._packets = iter(())  # the demuxer must not outlive its container
        for trial in self._trials.values():
            trial.close()
        self._container.close()

    def add_tracks(self, output: OutputContainer, *, video: Stream) -> None:
        """Add each supported track to `output`; copy tags and chapters. `video`: the output's video track."""
        for stream in self._streams:
            if isinstance(stream, AttachmentStream):
                self._attach_file(output, stream)
            elif stream.disposition & Disposition.attached_pic:
                self._attach_cover(output, stream)
            elif (
                is_chapter_track(stream, chapters=self.has_chapters)
                or is_timecode_track(stream)
                or self._add_converted(output, stream)
            ):
                continue
            elif supports(output.format.name, stream):
                copy = output.add_stream_from_template(stream, opaque=True)
                copy_tags(stream, copy)
                self._outputs[stream.index] = copy
                muxer = output.format.name.split(",", maxsplit=1)[0]
                self._trials[stream.index] = TrialTrack(stream, muxer=muxer, options=output.container_options)
                if is_adts(stream) and output.format.name in ("mp4", "mov"):
                    self._filters[stream.index] = BitStreamFilterContext("aac_adtstoasc", stream)
            else:
                self._skip(output, stream)
        copy_tags(self._main, video)
        if output.format.name in ("mp4", "mov"):
            video.metadata.pop(TAG, None)  # the file is still in fragments, which have no timecode
        self.copy_metadata(output)
        copied = [s for s in self._streams if s.index in self._outputs]
        if copied:
            self._packets = demux_packets(
                self._container, copied, on_damage=self._count_damage, on_late_packet=self.count_late
            )
        self._next = self._read()

    def copy_metadata(self, output: OutputContainer) -> None:
        """Copy the metadata and chapters of the file."""
        metadata = {k: v for k, v in self._container.metadata.items() if k.lower() not in _CONTAINER_TAGS}
        output.metadata.update(metadata)
        chapters = self._container.chapters()
        if chapters:
            output.set_chapters(chapters)

    @property
    def has_chapters(self) -> bool:
        """Whether the source has chapters."""
        return bool(self._container.chapters())

    @property
    def timecode(self) -> str | None:
        """The timecode of the video's first frame."""
        return timecode_of(self._main)

    def lost(self) -> list[str]:
        """What the file has beside its video that the output does not have."""
        late = f"{self.late} packets of a track that begins late in the file: it could not be known at its beginning"
        return [*self.skipped, *([late] if self.late else [])]

    def track_names(self) -> list[str]:
        """What the tracks are: `audio aac`, …"""
        named = ((s.type, "" if s.codec_context is None else s.codec_context.name) for s in self._streams)
        return [f"{kind} {codec}".strip() for kind, codec in named]

    @property
    def starts_before_zero(self) -> bool:
        """Whether any track, video included, starts at a negative timestamp."""
        return any((stream.start_time or 0) < 0 for stream in self._container.streams)

    def packets_until(self, time_s: Fraction | None) -> Iterator[AnyPacket]:
        """Yield packets for the output with a timestamp up to `time_s` seconds; None: all that remain."""
        while self._next is not None and (time_s is None or _time_of(self._next) <= time_s):
            packet, self._next = self._next, self._read()
            self._keep_monotonic(packet)
            if (codecs := self._converted.get(packet.stream.index)) is not None:
                if (text := converted_packet(packet, *codecs)) is not None:
                    text.stream = self._outputs[packet.stream.index]
                    yield text
                continue
            output, bitstream_filter = self._outputs[packet.stream.index], self._filters.get(packet.stream.index)
            try:
                filtered = bitstream_filter.filter(packet) if bitstream_filter else [packet]
            except av.error.FFmpegError:
                self.damaged += 1
                continue
            for each in filtered:
                if self._trials[packet.stream.index].accepts(each):
                    each.stream = output
                    yield each
                else:
                    self.damaged += 1

    def mux_until(self, time_s: Fraction | None, output: OutputContainer) -> None:
        """Write the packets up to `time_s` to `output`; those that its muxer refuses are dropped and counted."""
        for packet in self.packets_until(time_s):
            try:
                output.mux_one(packet)
            except av.error.FFmpegError as error:
                if error.errno not in _REFUSED:
                    raise
                self.damaged += 1

    def _read(self) -> AnyPacket | None:
        for packet in self._packets:
            if packet.dts is not None or packet.pts is not None:
                return packet
            self.damaged += 1
        return None

    def _keep_monotonic(self, packet: AnyPacket) -> None:
        """Correct a decreasing DTS, which muxers reject; concatenated files have them."""
        if packet.dts is None:
            return
        clock = self._clocks.setdefault(packet.stream.index, MonotonicTimestamps(step=packet.duration or 1))
        simultaneous = clock.last == packet.dts and packet.stream.type == "subtitle"  # two lines shown at the same time
        placed = packet.dts if simultaneous else clock.place(packet.dts)
        if placed != packet.dts:
            self.retimed += 1
            packet.pts = placed if packet.pts is None else packet.pts + placed - packet.dts
            packet.dts = placed

    def _count_damage(self) -> None:
        self.damaged += 1

    def count_late(self) -> None:
        """Count a packet of a track that the file did not announce at its beginning."""
        self.late += 1

    def _add_converted(self, output: OutputContainer, stream: Stream) -> bool:
        """Add a text track that the output cannot hold in the codec it has, in another one; False for other tracks."""
        muxer = output.format.name.split(",", maxsplit=1)[0]
        if not isinstance(stream, SubtitleStream) or muxer not in TARGETS:
            return False
        codec = text_codec(self._path, self._container.format.name, stream)
        if codec is None or (stream.codec_context is not None and supports(output.format.name, stream)):
            return False
        target = codec if codec in TARGETS[muxer] else TARGETS[muxer][0]
        copy = output.add_stream(target)
        assert isinstance(copy, SubtitleStream)
        copy.codec_context.subtitle_header = ASS_HEADER
        copy.time_base = stream.time_base
        copy_tags(stream, copy)
        self._outputs[stream.index], self._converted[stream.index] = copy, (codec, target)
        if codec == "ass":
            self.skipped.append(f"track {stream.index} (subtitle ass): fonts, colours and positions; kept as {target}")
        return True

    def _attach_file(self, output: OutputContainer, stream: AttachmentStream) -> None:
        if "matroska" not in output.format.name:
            self._skip(output, stream)
            return
        name = stream.metadata.get("filename", f"attachment-{stream.index}")
        output.add_attachment(name, stream.mimetype or "application/octet-stream", stream.data)

    def _attach_cover(self, output: OutputContainer, stream: Stream) -> None:
        """Attach a cover picture to a Matroska file; `add_covers` adds it to an MP4 file after faststart."""
        kind = _COVER_TYPES.get(stream.codec_context.name if stream.codec_context is not None else "")
        if kind is None or output.format.name in ("webm", "mov"):
            self._skip(output, stream)
        elif "matroska" in output.format.name:
            name = stream.metadata.get("filename", f"cover.{kind}")
            output.add_attachment(name, f"image/{kind}", bytes(self._cover_packet(stream)))
        else:
            self._covers.append(stream)

    def add_covers(self, output: OutputContainer) -> list[AnyPacket]:
        """Add tracks for the cover pictures to an ISO file; returns their packets."""
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
        raise av.error.InvalidDataError(0, "cover track without a picture", self._container.name)

    def _skip(self, output: OutputContainer, stream: Stream) -> None:
        if isinstance(stream, AudioStream) and stream.codec_context is not None and not stream.sample_rate:
            self.skipped.append(f"track {stream.index} (audio), which begins too late to be known at the beginning")
            return
        detail = stream.codec_context.name if stream.codec_context is not None else stream.metadata.get("filename", "")
        language = f"[{stream.language}]" if stream.language else ""
        what = " ".join(part for part in (stream.type, detail, language) if part)
        muxer = output.format.name.split(",")[0]
        hint = "" if muxer == "matroska" else "; choose an .mkv output to keep it"
        self.skipped.append(f"track {stream.index} ({what}), which {muxer} does not support{hint}")


def copy_tags(source: Stream, target: Stream) -> None:
    """Copy disposition, language and all other metadata except that of the source's encoding."""
    target.disposition = source.disposition
    for key, value in source.metadata.items():
        if key.lower().split("-")[0] not in _ENCODING_TAGS and not key.startswith("_STATISTICS"):
            target.metadata[key] = value


def _time_of(packet: AnyPacket) -> Fraction:
    moment = packet.dts if packet.dts is not None else packet.pts
    assert moment is not None
    return moment * packet.time_base
