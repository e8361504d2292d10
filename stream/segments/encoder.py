"""Encodes segments so that they can stand beside the source's own packets in one track."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from deepclarity.stream.files.encode import Encoder, EncodeSettings
from deepclarity.stream.info import VideoInfo
from deepclarity.stream.packets import AnyPacket
from deepclarity.stream.user_data.messages import Messages
from deepclarity.stream.user_data.writer import UserDataWriter

from .bits import split_start_codes
from .errors import CopyError
from .h264 import AvcConfig


class SegmentEncoder:
    """An x264 whose parameter sets have an identifier that the source does not use.

    Both sets lie in one configuration record, so a decoder finds the right one for every picture. Each run of `encode`
    up to `flush` begins with an IDR picture and refers to nothing outside.
    """

    def __init__(
        self, settings: EncodeSettings, info: VideoInfo, *, size: tuple[int, int], pixel_format: str, source: AvcConfig
    ) -> None:
        """`source`: the parameter sets to stand beside. CopyError if they leave no identifier free."""
        identifier = source.free_identifier()
        if identifier is None:
            raise CopyError("the source uses every identifier of parameter sets")
        self.settings = replace(settings, hardware=False)
        self._source = source
        self._identifier = identifier
        self._time_base = info.time_base
        self._user_data = UserDataWriter(settings.codec)
        self._encoder = Encoder(
            self.settings, info, size=size, pixel_format=pixel_format, global_header=True, negative_dts=False
        )
        self._context: VideoCodecContext | None = self._open()
        self.reorder_depth = int(self._context.reorder_depth)
        """Maximum reordering of its packets, in frames."""
        self.config = AvcConfig.parse(bytes(self._context.extradata or b""))
        """Its parameter sets."""
        self.frames = 0
        """Frames since the last `flush`."""

    def encode(self, picture: VideoFrame, user_data: Messages = ()) -> list[AnyPacket]:
        """Encode one picture that has its timestamps and tags; the packets that are ready, without DTS.

        `user_data`: see `Encoder.packets`.
        """
        if self._context is None:
            self._context = self._open()
            if AvcConfig.parse(bytes(self._context.extradata or b"")) != self.config:
                raise CopyError("the encoder changed its parameter sets")
        self.frames += 1
        if picture.pts is not None:
            self._user_data.add(picture.pts, user_data)
        return [self._converted(packet) for packet in self._context.encode(picture)]

    def flush(self) -> list[AnyPacket]:
        """The remaining packets; the next picture begins anew."""
        if not self.frames or self._context is None:
            return []
        packets = [self._converted(packet) for packet in self._context.encode(None)]
        self._context, self.frames = None, 0
        return packets

    def _open(self) -> VideoCodecContext:
        context = av.CodecContext.create(self.settings.encoder, "w")
        assert isinstance(context, VideoCodecContext)
        context = self._encoder.configure(context)
        others = context.options.get("x264-params")
        own = f"sps-id={self._identifier}"
        context.options = {**context.options, "x264-params": f"{others}:{own}" if others else own}
        context.open()
        return context

    def _converted(self, encoded: AnyPacket) -> AnyPacket:
        """The packet with its user data, and its NAL units held as the source's packets hold theirs."""
        packet = self._user_data.written(encoded)
        copy: AnyPacket = Packet(self._source.join(split_start_codes(bytes(packet))))
        copy.pts, copy.duration, copy.is_keyframe = packet.pts, packet.duration, packet.is_keyframe
        copy.time_base = Fraction(self._time_base)
        return copy
