"""Quantisers from packets of HEVC and AV1, against FFmpeg's own reading of the same headers (`trace_headers`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from av.codec.codec import UnknownCodecError

from deepclarity.pipelines.demo.scene import paint, pan
from deepclarity.stream.coding import on_h264_scale
from deepclarity.stream.quantisers.bits import BitReader
from deepclarity.stream.quantisers.packets import quantiser_reader

FRAMES = 14

X265 = {
    "b-frames": "qp=30:bframes=4:b-pyramid=1:ref=5",
    "weights, long GOP": "crf=33:weightp=1:weightb=1:open-gop=1:keyint=8",
    "slices, no SAO": "qp=44:slices=2:sao=0:scaling-list=default",
    "temporal layers": "qp=25:temporal-layers=3",
    "intra": "qp=38:keyint=1",
}
AV1 = {
    "hidden references": {"preset": "12", "crf": "45"},
    "tiles": {"preset": "12", "crf": "30", "svtav1-params": "tile-columns=1:tile-rows=1"},
    "super-resolution": {"preset": "12", "crf": "50", "svtav1-params": "superres-mode=1:superres-denom=12"},
}


def coded(
    path: Path, encoder: str, options: dict[str, str], *, pixel_format: str = "yuv420p", width: int = 192
) -> Path:
    """A moving picture; skips the test where the encoder is not there."""
    try:
        av.Codec(encoder, "w")
    except UnknownCodecError:
        pytest.skip(f"this PyAV has no {encoder}")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoder, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = width, 112, pixel_format
        for picture in pan(paint(width, 112), count=FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(stream.encode(None))
    return path


def stated(path: Path, codec: str) -> list[float | None]:
    """What our reader says of each packet."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        read = quantiser_reader(codec, stream.codec_context.extradata)
        assert read is not None
        found = [read(bytes(packet)) for packet in container.demux(stream) if packet.size]
    return [None if each is None else each.qp for each in found]


def traced(path: Path) -> Iterator[tuple[str, int]]:
    """Names and values of all header fields, as FFmpeg reads them."""
    before = av.logging.get_level()
    av.logging.set_level(av.logging.TRACE)
    try:
        with av.open(str(path)) as container, av.logging.Capture() as logs:
            stream = container.streams.video[0]
            trace = BitStreamFilterContext("trace_headers", stream)
            for packet in container.demux(stream):
                if packet.size:
                    trace.filter(packet)
            text = "\n".join(message.strip() for *_, message in logs)
    finally:
        av.logging.set_level(before)
    for name, value in re.findall(r"^\d+ +(\w+)[^\n]*= (-?\d+)$", text, re.MULTILINE):
        yield name, int(value)


@pytest.mark.parametrize(("name", "suffix"), [*((name, ".mp4") for name in X265), ("b-frames", ".ts")])
def test_hevc_quantisers_are_those_of_the_slice_headers(tmp_path: Path, name: str, suffix: str) -> None:
    path = coded(
        tmp_path / f"a{suffix}", "libx265", {"preset": "veryfast", "x265-params": f"log-level=none:{X265[name]}"}
    )
    expected, initial = [], 26
    first = False
    for field, value in traced(path):
        if field == "init_qp_minus26":
            initial = 26 + value
        elif field == "first_slice_segment_in_pic_flag":
            first = value == 1
        elif field == "slice_qp_delta" and first:
            expected.append(float(initial + value - 4))
    assert len(expected) == FRAMES
    assert stated(path, "hevc") == expected


def test_hevc_of_10_bits(tmp_path: Path) -> None:
    options = {"preset": "veryfast", "x265-params": "log-level=none:qp=35:ipratio=1:pbratio=1"}
    path = coded(tmp_path / "a.mkv", "libx265", options, pixel_format="yuv420p10le")
    assert stated(path, "hevc") == [31.0] * FRAMES


@pytest.mark.parametrize("name", AV1)
def test_av1_quantisers_are_those_of_the_frames_that_are_shown(tmp_path: Path, name: str) -> None:
    path = coded(tmp_path / "a.mp4", "libsvtav1", AV1[name], width=640 if name == "tiles" else 192)
    shown = [each for each in stated(path, "av1") if each is not None]
    fields = [value for field, value in traced(path) if field == "base_q_idx"]
    scale = np.maximum(0, on_h264_scale(np.array(fields, np.float32), "av1") - np.float32(2)).tolist()
    assert len(shown) == FRAMES
    assert set(shown) <= set(scale)
    assert len(set(scale) - set(shown)) <= 1  # an alternative reference that is never shown
    assert shown[0] == scale[0]


@pytest.mark.parametrize("codec", ["hevc", "av1"])
def test_damaged_packets_state_nothing_or_a_quantiser(tmp_path: Path, codec: str) -> None:
    encoder = {"hevc": "libx265", "av1": "libsvtav1"}[codec]
    path = coded(
        tmp_path / "a.mp4", encoder, {"x265-params": "log-level=none"} if codec == "hevc" else {"preset": "12"}
    )
    rng = np.random.default_rng(5)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        extradata, packets = stream.codec_context.extradata, [bytes(each) for each in container.demux(stream)]
    for _ in range(60):
        read = quantiser_reader(codec, extradata)
        assert read is not None
        for packet in packets:
            damaged = bytearray(packet[: int(rng.integers(0, len(packet) + 1))])
            for at in rng.integers(0, max(1, len(damaged)), 4):
                if damaged:
                    damaged[min(int(at) // 8, len(damaged) - 1)] ^= 1 << int(rng.integers(8))
            found = read(bytes(damaged))
            assert found is None or 0 <= found.qp <= 51


def test_a_record_that_is_cut_off_is_no_error() -> None:
    for codec in ("hevc", "av1"):
        for extradata in (b"", b"\1", b"\1" * 23, b"\x81\0\0\0\x0a\x0b", bytes(64)):
            read = quantiser_reader(codec, extradata)
            assert read is not None
            assert read(b"") is None
            assert read(bytes(16)) is None
    assert quantiser_reader("h264", None) is None


def test_exponential_golomb_codes() -> None:
    read = BitReader(bytes([0b10100110, 0b01000010, 0b10000000]))
    assert [read.unsigned() for _ in range(5)] == [0, 1, 2, 3, 4]
    assert BitReader(bytes([0b01001100])).signed() == 1
    with pytest.raises(IndexError):
        BitReader(b"\0").unsigned()
