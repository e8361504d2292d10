"""Side data of pictures: kinds that PyAV does not know hide none of the others."""

from __future__ import annotations

import gc
import struct
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame

from deepclarity.stream.files.reading.extras import extras_of
from deepclarity.stream.files.reading.side_data import kind_of, side_data_of
from deepclarity.stream.files.source import FileSource
from tests.commands import QUICK, run_upscale

Capture = pytest.CaptureFixture[str]
TURNED = 6
"""EXIF's number for a picture that must be rotated by 90 degrees."""


def jpeg(orientation: int) -> bytes:
    """A JPEG picture with EXIF data, which FFmpeg exports as a kind of side data that PyAV does not know."""
    exif = b"II*\0" + struct.pack("<IHHHIII", 8, 1, 0x0112, 3, 1, orientation, 0)
    kinds, chunks = [cv2.IMAGE_METADATA_EXIF], [np.frombuffer(exif, np.uint8)]
    _, data = cv2.imencodeWithMetadata(".jpg", np.full((96, 160, 3), 120, np.uint8), kinds, chunks, [])
    return data.tobytes()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path, picture = tmp_path / "clip.mov", jpeg(TURNED)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuvj420p"
        for number in range(3):
            packet: Packet[Stream] = Packet(picture)
            packet.pts = packet.dts = number
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 25), stream, True
            container.mux(packet)
    return path


def test_all_kinds_are_read(clip: Path) -> None:
    with av.open(str(clip)) as container:
        picture = next(container.decode(video=0))
        kinds = [kind_of(data) for data in side_data_of(picture)]
        assert {"EXIF", "DISPLAYMATRIX"} <= set(kinds)
        assert list(extras_of(picture)) == ["EXIF metadata of the pictures"]


def test_rotation_beside_an_unknown_kind_is_kept(clip: Path, tmp_path: Path, capfd: Capture) -> None:
    with FileSource(clip) as source:
        matrix = source.info.display_matrix
    assert matrix is not None
    assert run_upscale(clip, tmp_path / "out.mp4", *QUICK) == 0
    assert "left out: EXIF" in capfd.readouterr().err
    with av.open(str(tmp_path / "out.mp4")) as container:
        rotation = next(container.decode(video=0)).rotation
    with av.open(str(clip)) as container:
        assert rotation == next(container.decode(video=0)).rotation != 0


def test_reading_leaves_no_reference_cycle_that_keeps_pictures_in_memory() -> None:
    gc.collect()
    gc.disable()
    try:
        before = pictures_in_memory()
        for _ in range(10):
            assert list(side_data_of(VideoFrame(64, 64, "yuv420p"))) == []
        assert pictures_in_memory() == before
    finally:
        gc.enable()


def pictures_in_memory() -> int:
    return sum(type(each) is VideoFrame for each in gc.get_objects())  # isinstance would ask proxies for their class
