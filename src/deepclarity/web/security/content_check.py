"""Content checks of uploaded pictures and videos: format and size are read from the file before it is decoded."""

from __future__ import annotations

import struct
import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from deepclarity.errors import DeepClarityError
from deepclarity.stream.files.probe import ProbeResult, probe
from deepclarity.stream.files.still import Picture, read_picture
from deepclarity.web.errors import RefusedError
from deepclarity.web.limits import MEBI, Limits

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
_TAIL_BYTES = 64 * 1024
"""Cameras and editors append data after the end of a picture, but not much."""

_MAX_TAGS = 1000

_SIGNATURES = (
    (4, b"ftyp", "mov"), (4, b"moov", "mov"), (4, b"wide", "mov"), (4, b"mdat", "mov"), (4, b"free", "mov"),
    (0, b"\x1aE\xdf\xa3", "matroska"), (8, b"AVI ", "avi"), (0, b"FLV\x01", "flv"), (0, b"OggS", "ogg"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"), (0, b"\x00\x00\x01\xba", "mpeg"),
    (0, b"YUV4MPEG2", "yuv4mpegpipe"),
)  # fmt: skip
"""Offset and bytes of a container's signature, and the only FFmpeg demuxer that may open such a file."""

NOT_A_PICTURE = "This is not a picture that can be read. Use JPEG, PNG, WebP, BMP or TIFF."
_NOT_A_VIDEO = (
    "This is not a video that can be read. Use MP4, MOV, MKV, WebM, AVI, MPEG-TS, MPEG-PS, FLV, OGG, WMV or Y4M."
)


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Size and format of a picture, from its file header."""

    width_px: int
    height_px: int
    format: str
    animated: bool


def check_picture(path: Path, limits: Limits) -> ImageHeader:
    """Read the header of a picture file; RefusedError if the file must not be decoded."""
    if path.stat().st_size > limits.picture_bytes:
        raise RefusedError(f"This picture is too large: at most {limits.picture_bytes // MEBI} MB are allowed.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings about large pictures: the size is checked below
            with Image.open(path, formats=_FORMATS) as image:
                has_frames = False if image.format == "TIFF" else bool(getattr(image, "is_animated", False))
                header = ImageHeader(*image.size, image.format or "", has_frames and image.format in ("PNG", "WEBP"))
    except Image.DecompressionBombError:
        raise RefusedError(_too_many_pixels(limits)) from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, TypeError, KeyError, OverflowError):
        raise RefusedError(NOT_A_PICTURE) from None
    if header.width_px * header.height_px > limits.picture_px:
        raise RefusedError(_too_many_pixels(limits))
    if header.format == "TIFF" and not _has_unique_tags(path):
        raise RefusedError("This picture is damaged: its headers contradict each other.")
    if not _is_complete(path, header.format):
        raise RefusedError("This picture is truncated: its end is missing. Copy or save it again.")
    return header


def open_picture(path: Path, limits: Limits) -> tuple[Picture, list[str]]:
    """Decode a picture, turned upright, and return it with notes for the user; RefusedError if it cannot be used."""
    header = check_picture(path, limits)
    try:
        picture = read_picture(path)
    except DeepClarityError:
        raise RefusedError("This picture is damaged: it cannot be decoded.") from None
    height, width = picture.pixels.shape[:2]
    if {width, height} != {header.width_px, header.height_px}:
        raise RefusedError("This picture is damaged: its header and its content contradict each other.")
    return picture, ["This is an animation: only its first frame is used."] if header.animated else []


def _too_many_pixels(limits: Limits) -> str:
    return f"This picture has too many pixels: at most {limits.picture_px / 1e6:.0f} megapixels are allowed."


def _is_complete(path: Path, file_format: str) -> bool:
    """Whether a picture file has its end marker or declared length; True for formats that have neither."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read()
    if file_format in ("JPEG", "MPO"):
        return b"\xff\xd9" in tail
    if file_format == "PNG":
        return b"IEND" in tail
    if file_format == "WEBP":
        return size >= int.from_bytes(head[4:8], "little") + 8
    return True


def _has_unique_tags(path: Path) -> bool:
    """Whether the first directory of a TIFF has no duplicate tags: readers disagree about which one counts."""
    with path.open("rb") as file:
        head = file.read(16)
        order = {b"II*\0": "<", b"II+\0": "<", b"MM\0*": ">", b"MM\0+": ">"}.get(head[:4])
        if order is None or len(head) < 16:
            return False
        is_big_tiff = b"+" in head[:4]
        file.seek(struct.unpack_from(f"{order}Q" if is_big_tiff else f"{order}I", head, 8 if is_big_tiff else 4)[0])
        count_bytes, entry_bytes = (8, 20) if is_big_tiff else (2, 12)
        count = int.from_bytes(file.read(count_bytes), "little" if order == "<" else "big")
        entries = file.read(min(count, _MAX_TAGS + 1) * entry_bytes)
    tags = [struct.unpack_from(f"{order}H", entries, at)[0] for at in range(0, len(entries) - 1, entry_bytes)]
    return 0 < len(tags) <= _MAX_TAGS and len(set(tags)) == len(tags)


def detect_demuxer(path: Path) -> str:
    """The FFmpeg demuxer for a video file, by its content; RefusedError for anything else, above all playlists."""
    with path.open("rb") as file:
        head = file.read(1024)
    for offset, signature, demuxer in _SIGNATURES:
        if head[offset : offset + len(signature)] == signature and (demuxer != "avi" or head[:4] == b"RIFF"):
            return demuxer
    for packet_bytes, sync_at in ((188, 0), (192, 4), (204, 0)):
        if len(head) > 4 * packet_bytes and all(head[sync_at + k * packet_bytes] == 0x47 for k in range(4)):
            return "mpegts"
    raise RefusedError(_NOT_A_VIDEO)


def check_video(path: Path, limits: Limits) -> tuple[str, ProbeResult]:
    """The demuxer of a video and its properties; RefusedError if the file must not be decoded."""
    demuxer = detect_demuxer(path)
    try:
        probed = probe(path, demuxer=demuxer)
    except DeepClarityError:
        raise RefusedError("This video cannot be read: it is damaged, truncated, or has no video stream.") from None
    if probed.width_px * probed.height_px > limits.video_px:
        raise RefusedError(
            f"This video is too large: frames of at most {limits.video_px / 1e6:.1f} megapixels are allowed."
        )
    if (probed.duration_s or 0) > limits.video_s:
        raise RefusedError(f"This video is too long: at most {limits.video_s / 60:.0f} minutes are allowed.")
    if (probed.frames or 0) > limits.video_frames:
        raise RefusedError(f"This video has too many frames: at most {limits.video_frames:,} are allowed.")
    return demuxer, probed
