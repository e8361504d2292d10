"""Writers of the video track: the `TrackWriter` contract, and the one that encodes every frame."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator
from typing import Protocol

from av.container import OutputContainer
from av.format import Flags as FormatFlags
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from deepclarity.stream import planes
from deepclarity.stream.files.encode import Encoder, EncodeSettings
from deepclarity.stream.files.resume import PartialOutput
from deepclarity.stream.frame import Frame
from deepclarity.stream.info import VideoInfo
from deepclarity.stream.interlaced.bwdif import FieldLabel
from deepclarity.stream.packets import AnyPacket
from deepclarity.stream.transparency import keeps_alpha, picture_with_alpha

_GLOBAL_HEADER: int = FormatFlags.global_header.value  # type: ignore[assignment]


class TrackWriter(Protocol):
    """Makes the packets of the video track from its frames."""

    def add_stream(self, container: OutputContainer, *, negative_dts: bool) -> VideoStream:
        """Add the track; `negative_dts`: whether the container allows a DTS before the first PTS."""
        ...

    def write(self, frame: Frame) -> Iterator[AnyPacket]:
        """Take one frame; yield the packets that are ready, with DTS, in decoding order."""
        ...

    def finish(self) -> Iterator[AnyPacket]:
        """Yield the packets that remain after the last frame."""
        ...

    def close(self) -> None:
        """Close the files that it reads."""
        ...


class EncodedTrack:
    """Encodes every frame; the first ones are copied from the output of an interrupted run, if there is one."""

    def __init__(
        self,
        settings: EncodeSettings,
        info: VideoInfo,
        *,
        size: tuple[int, int],
        pixel_format: str,
        partial_output: PartialOutput | None = None,
    ) -> None:
        """`size`: (width, height) in pixels; `pixel_format`: planar format of all frames."""
        self._settings = settings
        self._info = info
        self._size = size
        self._pixel_format = pixel_format
        self._frames = 0
        self._transparent = False
        self._field_label = FieldLabel()
        self._resumed_frames = partial_output.frames if partial_output else 0
        self._resumed_packets = partial_output.packets() if partial_output else _no_packets()
        self._encoder: Encoder | None = None

    def add_stream(self, container: OutputContainer, *, negative_dts: bool) -> VideoStream:
        """See `TrackWriter`."""
        self._encoder = Encoder(
            self._settings,
            self._info,
            size=self._size,
            pixel_format=self._pixel_format,
            global_header=bool(container.format.flags & _GLOBAL_HEADER),
            negative_dts=negative_dts,
        )
        stream = container.add_stream(self._settings.encoder, rate=self._info.rate or 25)
        assert isinstance(stream, VideoStream)
        stream.time_base = self._info.time_base
        self._transparent = keeps_alpha(self._info, self._settings.encoder)
        self._encoder.context = self._encoder.configure(stream.codec_context)
        if container.format.name in ("mp4", "mov") and self._settings.codec == "hevc":
            stream.codec_tag = "hvc1"  # required by Apple's players
        return stream

    def write(self, frame: Frame) -> Iterator[AnyPacket]:
        """See `TrackWriter`."""
        assert self._encoder is not None
        picture = self._encoder_picture(frame)
        self._frames += 1
        if self._frames <= self._resumed_frames:
            self._encoder.skip(frame.pts)
            yield from itertools.islice(self._resumed_packets, 1)
        else:
            yield from self._encoder.packets(picture, frame.user_data)

    def finish(self) -> Iterator[AnyPacket]:
        """See `TrackWriter`."""
        if self._encoder is not None:
            yield from self._encoder.finish()

    def close(self) -> None:
        """Close the partial output."""
        self._resumed_packets.close()

    def _picture(self, frame: Frame) -> VideoFrame:
        if self._transparent:
            return picture_with_alpha(frame, self._pixel_format)
        picture = picture_of(frame, self._pixel_format)
        if picture is frame.picture or frame.field_order is None:
            return picture
        return self._field_label(picture, frame.field_order)

    def _encoder_picture(self, frame: Frame) -> VideoFrame:
        return planes.prepare_for_encoder(
            self._picture(frame),
            pts=frame.pts,
            time_base=frame.time_base,
            duration=frame.duration,
            colour=self._info.colour,
        )


def picture_of(frame: Frame, pixel_format: str) -> VideoFrame:
    """The decoder's own picture of a frame, or a new one of its planes, in planar format `pixel_format`."""
    return frame.picture if isinstance(frame.picture, VideoFrame) else planes.picture_of(frame.planes, pixel_format)


def _no_packets() -> Generator[AnyPacket, None, None]:
    yield from ()
