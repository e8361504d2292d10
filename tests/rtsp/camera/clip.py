"""Encoded tracks of a test camera, cut into RTP packets by FFmpeg."""

from __future__ import annotations

import base64
import functools
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

CLOCK_HZ = 90_000
_MAX_PACKET_BYTES = "1200"
_START_CODE = re.compile(rb"\x00\x00\x00?\x01")
_RTCP_TYPES = range(200, 205)
_QUICK = {
    "libx264": {"preset": "ultrafast", "tune": "zerolatency"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:bframes=0"},
}


@dataclass(frozen=True, slots=True)
class Unit:
    """A picture, or a piece of sound."""

    time: int
    """Its RTP timestamp, from 0 on."""
    packets: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Track:
    """One track, sent over and over."""

    media: str
    """`video`, `audio` or `application`."""
    payload: int
    """RTP payload type."""
    attributes: tuple[str, ...]
    """Its lines in the SDP."""
    clock_hz: int
    units: tuple[Unit, ...]
    length: int
    """Ticks until it starts again."""


@functools.cache
def video(
    codec: str = "libx264",
    *,
    size: tuple[int, int] = (160, 96),
    rate: int = 30,
    count: int = 30,
    gop: int = 10,
    options: tuple[tuple[str, str], ...] = (),
    parameter_sets: bool = True,
    framerate: str | None = None,
) -> Track:
    """Moving noise. `parameter_sets`: whether the SDP has them. `framerate`: what the SDP says of the rate."""
    packets = encoded(codec, size=size, rate=rate, count=count, gop=gop, options=dict(options))
    name = {"libx264": "H264", "libx265": "H265", "mjpeg": "JPEG"}[codec]
    payload = 26 if name == "JPEG" else 96
    attributes = [f"rtpmap:{payload} {name}/{CLOCK_HZ}"]
    if name != "JPEG" and parameter_sets:
        attributes.append(f"fmtp:{payload} {_format_parameters(name, bytes(packets[0]))}")
    if framerate is not None:
        attributes.append(f"framerate:{framerate}")
    units = rtp_units(packets, codec, size)
    return Track("video", payload, tuple(attributes), CLOCK_HZ, units, count * CLOCK_HZ // rate)


def joined(*tracks: Track) -> Track:
    """Tracks of the same kind, one after the other."""
    units, start = [], 0
    for track in tracks:
        units += [Unit(start + unit.time, unit.packets) for unit in track.units]
        start += track.length
    first = tracks[0]
    return Track(first.media, first.payload, first.attributes, first.clock_hz, tuple(units), start)


@functools.cache
def g711() -> Track:
    """One second of a tone in 20 ms packets, µ-law."""
    with _Rtp() as rtp:
        stream = rtp.container.add_stream("pcm_mulaw", rate=8000)
        assert isinstance(stream, AudioStream)
        stream.codec_context.layout = "mono"
        for number in range(50):
            times = (160 * number + np.arange(160)) / 8000
            wave = (np.sin(2 * np.pi * 440 * times) * 6000).astype(np.int16)
            frame = AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = 8000, Fraction(1, 8000), 160 * number
            rtp.container.mux(stream.encode(frame))
    return Track("audio", 0, ("rtpmap:0 PCMU/8000",), 8000, rtp.units(), 8000)


def onvif_metadata() -> Track:
    """One XML document a second, as cameras send what their analytics find."""
    document = b'<tt:MetadataStream xmlns:tt="http://www.onvif.org/ver10/schema"/>'
    packet = bytes([0x80, 0x80 | 107]) + bytes(10) + document
    attributes = ("rtpmap:107 vnd.onvif.metadata/90000",)
    return Track("application", 107, attributes, CLOCK_HZ, (Unit(0, (packet,)),), CLOCK_HZ)


def encoded(
    codec: str, *, size: tuple[int, int], rate: int, count: int, gop: int, options: Mapping[str, str]
) -> list[Packet[Any]]:
    """Packets of moving noise, parameter sets in band."""
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.gop_size = *size, gop
    context.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    context.framerate, context.time_base = Fraction(rate), Fraction(1, CLOCK_HZ)
    context.options = {**_QUICK.get(codec, {}), **options}
    packets = []
    for picture in _pictures(size, count, context.pix_fmt):
        picture.pts, picture.time_base = picture.pts * CLOCK_HZ // rate, Fraction(1, CLOCK_HZ)
        packets += context.encode(picture)
    return packets + context.encode(None)


def _pictures(size: tuple[int, int], count: int, pixel_format: str) -> Iterator[VideoFrame]:
    noise = np.random.default_rng(5).integers(16, 236, (size[1], size[0] * 2, 3), np.uint8)
    for number in range(count):
        shift = number * 2 % size[0]
        picture = VideoFrame.from_ndarray(np.ascontiguousarray(noise[:, shift : shift + size[0]]), format="rgb24")
        picture = picture.reformat(format=pixel_format)
        picture.pts = number
        yield picture


def rtp_units(packets: Iterable[Packet[Any]], codec: str, size: tuple[int, int]) -> tuple[Unit, ...]:
    """The RTP packets of coded pictures."""
    with _Rtp() as rtp:
        stream = rtp.container.add_stream(codec, rate=30, options=_QUICK.get(codec, {}))
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for packet in packets:
            packet.stream = stream
            rtp.container.mux_one(packet)
    return rtp.units()


def _format_parameters(name: str, first: bytes) -> str:
    """What an SDP says of the parameter sets in the first picture."""
    units = [unit for unit in _START_CODE.split(first) if unit]
    if name == "H264":
        sets = [base64.b64encode(unit).decode() for unit in units if unit[0] & 31 in (7, 8)]
        return "packetization-mode=1;sprop-parameter-sets=" + ",".join(sets)
    kinds = {32: "vps", 33: "sps", 34: "pps"}
    named = {kinds[unit[0] >> 1 & 63]: unit for unit in units if unit[0] >> 1 & 63 in kinds}
    return ";".join(f"sprop-{kind}={base64.b64encode(unit).decode()}" for kind, unit in named.items())


class _Rtp(io.RawIOBase):
    """Takes what FFmpeg's RTP muxer sends, a packet a call."""

    def __init__(self) -> None:
        self._sent: list[bytes] = []
        options = {"packetsize": _MAX_PACKET_BYTES}
        self.container: OutputContainer = av.open(self, "w", format="rtp", container_options=options)

    def __enter__(self) -> _Rtp:
        return self

    def __exit__(self, *failure: object) -> None:
        self.container.close()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._sent.append(bytes(data))
        return len(data)

    def units(self) -> tuple[Unit, ...]:
        """The packets, by their timestamps."""
        packets = [packet for packet in self._sent if packet[1] not in _RTCP_TYPES]
        times = [int.from_bytes(packet[4:8], "big") for packet in packets]
        groups: list[tuple[int, list[bytes]]] = []
        for time, packet in zip(times, packets, strict=True):
            if not groups or groups[-1][0] != time:
                groups.append((time, []))
            groups[-1][1].append(packet)
        first = min(time for time, _ in groups)
        return tuple(Unit(time - first, tuple(packets)) for time, packets in groups)
