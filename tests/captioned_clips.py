"""Generates videos with closed captions and dynamic HDR metadata, and reads them from decoded videos."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path

import av
from av.packet import Packet
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame

from deepclarity.stream.user_data import obu, sei
from deepclarity.stream.user_data.messages import Messages, caption_messages
from tests.clips import ClipSpec, add_video, grey_frames


def triplets(number: int, count: int = 2) -> bytes:
    """Caption constructs that name a frame: of the first field of CEA-608, then of CEA-708."""
    first = bytes([0xFC, 0x80 | number % 128, 0x80])
    return first + bytes(byte for k in range(count - 1) for byte in (0xFF if k == 0 else 0xFE, number % 256, k))


def hdr10_plus(number: int) -> bytes:
    """Dynamic metadata of SMPTE ST 2094-40, application version 1, with one window and a maximum that names a frame."""
    fields = [
        (0xB5, 8), (0x003C, 16), (0x0001, 16), (4, 8), (1, 8), (1, 2), (400, 27), (0, 1),
        *((1000 * (number + 1) + k, 17) for k in range(3)), (500, 17), (1, 4), (50, 7), (800 + number, 17), (0, 10),
        (0, 1), (0, 1), (0, 1),
    ]  # fmt: skip
    bits = "".join(f"{value:0{count}b}" for value, count in fields)
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


def encode_with_user_data(path: Path, messages: Mapping[int, Messages], spec: ClipSpec) -> Path:
    """Encode a video whose frame number n holds `messages[n]`, by number in presentation order."""
    with av.open(str(path), "w", container_options=dict(spec.container_options or {})) as container:
        stream = add_video(container, spec)
        codec, packets = stream.codec_context.codec.canonical_name, []
        for number, rgb in enumerate(grey_frames(spec.count, spec.size)):
            frame = VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=spec.pixel_format)
            frame.pts, frame.time_base = number, Fraction(1, spec.rate)
            packets += stream.encode(frame)
        for packet in [*packets, *stream.encode(None)]:
            number = round(packet.pts * packet.time_base * spec.rate)
            container.mux_one(_with_messages(packet, codec, messages.get(number, ())))
    return path


def add_captions(source: Path, target: Path) -> Path:
    """Copy a video whose packets have start codes, with captions for each of its frames."""
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        times = sorted(packet.pts for packet in container.demux(stream) if packet.size)
        codec = stream.codec_context.codec.canonical_name
    numbers = {pts: number for number, pts in enumerate(times)}
    return _copy(source, target, lambda p: _with_messages(p, codec, caption_messages(triplets(numbers[p.pts]))))


def add_unit(source: Path, target: Path, unit: bytes) -> Path:
    """Copy a video whose packets have start codes, with a NAL unit at the end of each packet."""
    return _copy(source, target, lambda packet: _with_data(packet, bytes(packet) + b"\x00\x00\x01" + unit))


def _copy(source: Path, target: Path, changed: Callable[[Packet], Packet]) -> Path:
    with av.open(str(source)) as container, av.open(str(target), "w") as output:
        stream = container.streams.video[0]
        copy = output.add_stream_from_template(stream, opaque=True)
        for packet in container.demux(stream):
            if packet.size:
                written = changed(packet)
                written.stream = copy
                output.mux_one(written)
    return target


def _with_messages(packet: Packet, codec: str, messages: Messages) -> Packet:
    data = bytes(packet)
    if codec == "mpeg2video":
        data = _in_mpeg2(data, messages)
    elif messages:
        inserted = obu.insert_messages(data, messages) if codec == "av1" else sei.insert_messages(data, codec, messages)
        assert inserted is not None
        data = inserted
    return _with_data(packet, data)


def _with_data(packet: Packet, data: bytes) -> Packet:
    copy = Packet(data)
    copy.pts, copy.dts, copy.time_base, copy.duration = packet.pts, packet.dts, packet.time_base, packet.duration
    copy.is_keyframe, copy.stream = packet.is_keyframe, packet.stream
    return copy


def _in_mpeg2(data: bytes, messages: Messages) -> bytes:
    """User data before the first slice of a picture (ISO/IEC 13818-2, 6.2.2.2): a message from `GA94` on."""
    slices = data.index(b"\x00\x00\x01\x01")
    return data[:slices] + b"".join(b"\x00\x00\x01\xb2" + each[3:] for each in messages) + data[slices:]


def side_data(path: Path, kind: Type = Type.A53_CC) -> dict[Fraction, bytes]:
    """The side data of this kind of each decoded frame that has some, by time in seconds."""
    found = {}
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            frame_data = frame.side_data
            for number in range(len(frame_data)):
                if frame_data[number].type == kind:
                    found[Fraction(frame.pts * frame.time_base).limit_denominator(1000)] = bytes(frame_data[number])
    return found


def encode_captioned(path: Path, spec: ClipSpec) -> Path:
    """Encode a video in which every frame has captions."""
    messages = {number: caption_messages(triplets(number)) for number in range(spec.count)}
    return encode_with_user_data(path, messages, spec)
