"""Decode videos with PyAV alone, to check what the program wrote."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.video.frame import VideoFrame


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """Properties of a decoded frame that tests compare."""

    time_s: Fraction
    size: tuple[int, int]
    brightness: float
    """Mean luma, 0..255 for every pixel format."""
    luma_md5: str


def decode_frames(path: Path) -> list[DecodedFrame]:
    """Decode every frame of a video; packets that fail to decode are skipped."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [_properties(picture) for picture in _decode_packets(container.demux(stream))]


def _decode_packets(packets: Iterator[av.Packet]) -> Iterator[VideoFrame]:
    for packet in packets:
        try:
            yield from packet.decode()  # type: ignore[misc]
        except av.error.FFmpegError:
            continue


def _properties(picture: VideoFrame) -> DecodedFrame:
    pts = picture.pts if picture.pts is not None else picture.dts
    grey = picture.to_ndarray(format="gray")
    plane = bytes(picture.planes[0])
    return DecodedFrame(
        time_s=Fraction(pts or 0) * (picture.time_base or 0),
        size=(picture.width, picture.height),
        brightness=float(grey.mean()),
        luma_md5=hashlib.md5(plane).hexdigest(),
    )


def frame_times(path: Path) -> list[Fraction]:
    """Presentation time of each frame, in seconds."""
    return [frame.time_s for frame in decode_frames(path)]


def audio_hashes(path: Path, track: int = 0) -> list[str]:
    """MD5 of every packet of an audio track."""
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.audio[track])
        return [hashlib.md5(bytes(packet)).hexdigest() for packet in packets if packet.size]


def assert_same_frames(source: Path, target: Path) -> None:
    """`target` has all frames of `source`, in order and at the same times (within 1 ms in Matroska and WebM)."""
    before, after = decode_frames(source), decode_frames(target)
    assert len(after) == len(before)
    tolerance = Fraction(1, 1000) if target.suffix in (".mkv", ".webm") else 0
    assert [
        b.time_s - a.time_s for a, b in zip(before, after, strict=True) if abs(b.time_s - a.time_s) > tolerance
    ] == []
    different = [
        number for number, (a, b) in enumerate(zip(before, after, strict=True)) if abs(a.brightness - b.brightness) > 5
    ]
    assert different == []
