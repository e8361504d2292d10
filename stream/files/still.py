"""Still pictures: reads them with EXIF orientation applied, writes them atomically."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deepclarity.atomic_write import atomic_write
from deepclarity.errors import OutputError, SourceError, UsageError
from deepclarity.stream import errors
from deepclarity.stream.frame import Plane, Planes
from deepclarity.stream.pictures.metadata import read_tiff, upright, write_tiff
from deepclarity.stream.pictures.pillow_formats import PILLOW_SUFFIXES, encode_with_pillow, read_with_pillow

log = logging.getLogger(__name__)

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}) | PILLOW_SUFFIXES
"""File extensions of the supported picture formats, lower case."""

_JPEG_QUALITY = 95
_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@dataclass(frozen=True, slots=True)
class Picture:
    """A still picture, with its EXIF orientation applied."""

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    """BGR, (height, width, 3), uint8 or uint16, full range."""
    alpha: Plane | None = None
    """Opacity, (height, width), same dtype as `pixels`; None without an alpha channel."""
    profile: NDArray[np.uint8] | None = None
    """ICC colour profile (ISO 15076-1), copied unchanged."""
    exif: bytes | None = None
    """EXIF (JEITA CP-3451) as it was read: its orientation has been applied to the pixels."""

    @property
    def max_value(self) -> int:
        """The largest sample value: 255 or 65535."""
        return int(np.iinfo(self.pixels.dtype).max)

    @property
    def planes(self) -> Planes:
        """Full-range BT.601 Y'CbCr as in JPEG (ITU-T T.871): three planes (height, width), 4:4:4."""
        luma, red, blue = cv2.split(cv2.cvtColor(self.pixels, cv2.COLOR_BGR2YCrCb))
        return luma, blue, red  # type: ignore[return-value]

    def with_planes(self, planes: Planes, *, before: Planes | None = None) -> Picture:
        """A picture with the pixels of `planes` (4:4:4), at their size; alpha is resized to match.

        `before`: the planes of this picture. Pixels that equal them in all three stay bit for bit: the way to Y'CbCr
        and back would round them.
        """
        luma, blue, red = planes
        pixels = cv2.cvtColor(cv2.merge([luma, red, blue]), cv2.COLOR_YCrCb2BGR)
        if before is not None and before[0].shape == luma.shape:
            kept = (luma == before[0]) & (blue == before[1]) & (red == before[2])
            pixels[kept] = self.pixels[kept]
        size = luma.shape[1], luma.shape[0]
        alpha = self.alpha
        if alpha is not None and alpha.shape != luma.shape:
            alpha = cv2.resize(alpha, size, interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
        return Picture(pixels, alpha, self.profile, self.exif)  # type: ignore[arg-type]


def read_picture(path: Path) -> Picture:
    """Read a picture file of any colour model, 8 or 16 bits; raises SourceError if it cannot be decoded."""
    errors.check_readable(path)
    if path.suffix.lower() in PILLOW_SUFFIXES:
        return _read_with_pillow(path)
    data = np.fromfile(path, np.uint8)
    try:
        pixels, kinds, chunks = cv2.imdecodeWithMetadata(
            data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
        )  # applies EXIF orientation
        unchanged = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if pixels is not None else None
    except cv2.error as error:
        raise SourceError(f"{path}: too large or damaged to be decoded.") from error
    if pixels is None:
        raise SourceError(f"{path}: not a picture in a supported format. Use JPEG, PNG, WebP, BMP or TIFF.")
    if pixels.dtype not in (np.uint8, np.uint16):
        pixels = _to_8_bits(pixels)
    alpha = None
    if (
        unchanged is not None
        and unchanged.ndim == 3
        and unchanged.shape[2] == 4
        and unchanged.shape[:2] == pixels.shape[:2]
    ):
        alpha = unchanged[:, :, 3].astype(pixels.dtype)
    if cv2.imcount(str(path)) > 1:
        log.warning("%s: contains several pictures; only the first is used", path)
    found = {kind: np.asarray(chunk, np.uint8).ravel() for kind, chunk in zip(kinds, chunks, strict=True)}
    profile, exif = found.get(cv2.IMAGE_METADATA_ICCP), found.get(cv2.IMAGE_METADATA_EXIF)
    if data[:4].tobytes() in _TIFF_SIGNATURES:  # OpenCV reads no metadata of them
        tiff_exif, tiff_profile = read_tiff(data.tobytes())
        return Picture(pixels, alpha, _as_array(tiff_profile), tiff_exif)  # type: ignore[arg-type]
    return Picture(pixels, alpha, profile, None if exif is None else exif.tobytes())  # type: ignore[arg-type]


def _read_with_pillow(path: Path) -> Picture:
    read = read_with_pillow(path)
    pixels = np.ascontiguousarray(read.rgba[:, :, 2::-1])
    alpha = np.ascontiguousarray(read.rgba[:, :, 3]) if read.rgba.shape[2] == 4 else None
    return Picture(pixels, alpha, _as_array(read.profile), read.exif)


def _as_array(profile: bytes | None) -> NDArray[np.uint8] | None:
    return None if profile is None else np.frombuffer(profile, np.uint8)


def _to_8_bits(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Convert floating-point pixels, 0..1, to uint8; NaN becomes 0."""
    scaled = np.nan_to_num(pixels.astype(np.float32)) * 255 + 0.5
    return np.asarray(np.clip(scaled, 0, 255), np.uint8)


def write_picture(path: Path, picture: Picture) -> None:
    """Write `picture` atomically, in the format of the file extension.

    JPEG and BMP lose alpha; only PNG and TIFF keep 16 bits. EXIF and the ICC profile are kept, but in BMP. Raises
    UsageError for an unsupported format, OutputError if the file cannot be written.
    """
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise UsageError(
            f"{path}: cannot write '{path.suffix}' pictures. Use one of {', '.join(sorted(IMAGE_SUFFIXES))}."
        )
    atomic_write(path, _encoded(path, picture))


def _encoded(path: Path, picture: Picture) -> bytes:
    pixels, suffix = picture.pixels, path.suffix.lower()
    exif = None if picture.exif is None else upright(picture.exif, pixels.shape[1::-1])
    has_no_alpha = path.suffix.lower() in (".jpg", ".jpeg", ".bmp")
    if picture.alpha is not None and not has_no_alpha:
        pixels = np.dstack([pixels, picture.alpha])  # type: ignore[assignment]
    if pixels.dtype == np.uint16 and suffix not in (".png", ".tif", ".tiff"):
        pixels = (pixels >> 8).astype(np.uint8)
    if suffix in PILLOW_SUFFIXES:
        profile = None if picture.profile is None else picture.profile.tobytes()
        rgba = pixels[:, :, [2, 1, 0, 3][: pixels.shape[2]]]
        return encode_with_pillow(path, rgba, exif=exif, profile=profile)  # type: ignore[arg-type]
    flags = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if path.suffix.lower() in (".jpg", ".jpeg") else []
    is_tiff = suffix in (".tif", ".tiff")
    metadata = {cv2.IMAGE_METADATA_ICCP: picture.profile, cv2.IMAGE_METADATA_EXIF: _as_array(exif)}
    known = {} if is_tiff or suffix == ".bmp" else {kind: data for kind, data in metadata.items() if data is not None}
    encoded, content = cv2.imencodeWithMetadata(path.suffix, pixels, list(known), list(known.values()), flags)
    if not encoded:
        raise OutputError(f"{path}: cannot be encoded. Choose another format with -o.")
    if is_tiff:
        return write_tiff(content.tobytes(), exif, None if picture.profile is None else picture.profile.tobytes())
    return content.tobytes()
