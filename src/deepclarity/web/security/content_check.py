"""What an uploaded file is, by its content, before anything of it is decoded."""

from __future__ import annotations

import struct
import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from deepclarity.errors import DeepClarityError
from deepclarity.stream.files.probe import ProbeResult, probe
from deepclarity.stream.files.still import Picture, read_picture
from deepclarity.web.messages import RefusedError

from .limits import MEBI, Limits

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
_TAIL_BYTES = 64 * 1024
"""Cameras and editors put things behind the end of a picture, but not many."""

_MOST_TAGS = 1000

_DEMUXERS = (
    (4, b"ftyp", "mov"), (4, b"moov", "mov"), (4, b"wide", "mov"), (4, b"mdat", "mov"), (4, b"free", "mov"),
    (0, b"\x1aE\xdf\xa3", "matroska"), (8, b"AVI ", "avi"), (0, b"FLV\x01", "flv"), (0, b"OggS", "ogg"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"), (0, b"\x00\x00\x01\xba", "mpeg"),
    (0, b"YUV4MPEG2", "yuv4mpegpipe"),
)  # fmt: skip
"""Where a container's mark stands, the mark, and FFmpeg's demuxer for it: no other may open the file."""

_NO_PICTURE = "This is not a picture that can be read. Use JPEG, PNG, WebP, BMP or TIFF."
_NO_VIDEO = (
    "This is not a video that can be read. Use MP4, MOV, MKV, WebM, AVI, MPEG-TS, MPEG-PS, FLV, OGG, WMV or Y4M."
)


@dataclass(frozen=True, slots=True)
class Known:
    """What the head of a picture says."""

    width_px: int
    height_px: int
    format: str
    animated: bool


def look_at_picture(path: Path, limits: Limits) -> Known:
    """What the head of a picture file says; RefusedError where it must not be decoded."""
    if path.stat().st_size > limits.picture_bytes:
        raise RefusedError(f"This picture is too large: at most {limits.picture_bytes // MEBI} MB are taken.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large pictures: we count ourselves
            with Image.open(path, formats=_FORMATS) as head:
                pages = False if head.format == "TIFF" else bool(getattr(head, "is_animated", False))
                known = Known(*head.size, head.format or "", pages and head.format in ("PNG", "WEBP"))
    except Image.DecompressionBombError:
        raise RefusedError(_too_many(limits)) from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, TypeError, KeyError, OverflowError):
        raise RefusedError(_NO_PICTURE) from None
    if known.width_px * known.height_px > limits.picture_px:
        raise RefusedError(_too_many(limits))
    if known.format == "TIFF" and not _says_once(path):
        raise RefusedError("This picture is damaged: its parts contradict each other.")
    if not _ends(path, known.format):
        raise RefusedError("This picture is cut off: its end is missing. Copy or save it again.")
    return known


def open_picture(path: Path, limits: Limits) -> tuple[Picture, list[str]]:
    """The picture in a file, upright, and what should be said of it; RefusedError in words otherwise."""
    known = look_at_picture(path, limits)
    try:
        picture = read_picture(path)
    except DeepClarityError:
        raise RefusedError("This picture is damaged: it cannot be decoded.") from None
    height, width = picture.pixels.shape[:2]
    if {width, height} != {known.width_px, known.height_px}:
        raise RefusedError("This picture is damaged: its parts contradict each other.")
    return picture, ["This is an animation: only its first picture is used."] if known.animated else []


def _too_many(limits: Limits) -> str:
    return f"This picture has too many pixels: at most {limits.picture_px / 1e6:.0f} megapixels are taken."


def _ends(path: Path, kind: str) -> bool:
    """Whether a picture file goes on to its end, where its format tells."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read()
    if kind in ("JPEG", "MPO"):
        return b"\xff\xd9" in tail
    if kind == "PNG":
        return b"IEND" in tail
    if kind == "WEBP":
        return size >= int.from_bytes(head[4:8], "little") + 8
    return True


def _says_once(path: Path) -> bool:
    """Whether a TIFF's first directory has each of its tags once: of several, readers take different ones."""
    with path.open("rb") as file:
        head = file.read(16)
        order = {b"II*\0": "<", b"II+\0": "<", b"MM\0*": ">", b"MM\0+": ">"}.get(head[:4])
        if order is None or len(head) < 16:
            return False
        large = b"+" in head[:4]
        file.seek(struct.unpack_from(f"{order}Q" if large else f"{order}I", head, 8 if large else 4)[0])
        size, each = (8, 20) if large else (2, 12)
        count = int.from_bytes(file.read(size), "little" if order == "<" else "big")
        entries = file.read(min(count, _MOST_TAGS + 1) * each)
    tags = [struct.unpack_from(f"{order}H", entries, at)[0] for at in range(0, len(entries) - 1, each)]
    return 0 < len(tags) <= _MOST_TAGS and len(set(tags)) == len(tags)


def container_of(path: Path) -> str:
    """FFmpeg's demuxer for a video file, by its content; RefusedError for everything else, playlists first of all."""
    with path.open("rb") as file:
        head = file.read(1024)
    for offset, mark, demuxer in _DEMUXERS:
        if head[offset : offset + len(mark)] == mark and (demuxer != "avi" or head[:4] == b"RIFF"):
            return demuxer
    for packet, first in ((188, 0), (192, 4), (204, 0)):
        if len(head) > 4 * packet and all(head[first + k * packet] == 0x47 for k in range(4)):
            return "mpegts"
    raise RefusedError(_NO_VIDEO)


def look_at_video(path: Path, limits: Limits) -> tuple[str, ProbeResult]:
    """The demuxer for a video, and what it says of itself; RefusedError where it must not be decoded."""
    demuxer = container_of(path)
    try:
        seen = probe(path, demuxer=demuxer)
    except DeepClarityError:
        raise RefusedError("This video cannot be read: it is damaged, cut off, or holds no pictures.") from None
    if seen.width_px * seen.height_px > limits.video_px:
        raise RefusedError(
            f"This video is too large: frames of at most {limits.video_px / 1e6:.1f} megapixels are taken."
        )
    if (seen.duration_s or 0) > limits.video_s:
        raise RefusedError(f"This video is too long: at most {limits.video_s / 60:.0f} minutes are taken.")
    if (seen.frames or 0) > limits.video_frames:
        raise RefusedError(f"This video has too many frames: at most {limits.video_frames:,} are taken.")
    return demuxer, seen
