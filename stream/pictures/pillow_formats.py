"""AVIF and HEIC, read and written by Pillow; HEIC needs the extra `heic`."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from deepclarity.errors import SourceError, UsageError

AVIF_SUFFIXES = frozenset({".avif"})
HEIC_SUFFIXES = frozenset({".heic", ".heif"})
PILLOW_SUFFIXES = AVIF_SUFFIXES | HEIC_SUFFIXES
"""File extensions of the formats that Pillow reads and writes, lower case."""

_QUALITY = 90
_MAX_PX = 400_000_000
_READ_ERRORS = (OSError, ValueError, SyntaxError, RuntimeError, UnidentifiedImageError, Image.DecompressionBombError)


@dataclass(frozen=True, slots=True)
class PillowPicture:
    """A picture as it is shown: with its orientation applied."""

    rgba: NDArray[np.uint8]
    """(height, width, 3 or 4): R, G, B, opacity."""
    exif: bytes | None
    profile: bytes | None


def read_with_pillow(path: Path) -> PillowPicture:
    """Read an AVIF or HEIC; raises SourceError if it cannot be decoded, UsageError if HEIC is not installed."""
    kind = _kind(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(path, formats=[kind]) as image:
                if image.width * image.height > _MAX_PX:
                    raise SourceError(f"{path}: too large to be decoded.")
                shown = ImageOps.exif_transpose(image)
                opaque = "A" not in image.getbands() and "transparency" not in image.info
                pixels = np.asarray(shown.convert("RGB" if opaque else "RGBA"))
                return PillowPicture(pixels, image.info.get("exif"), image.info.get("icc_profile"))
        except SourceError:
            raise
        except _READ_ERRORS as error:
            raise SourceError(f"{path}: not a picture in a supported format, or damaged ({kind}).") from error


def encode_with_pillow(path: Path, rgba: NDArray[np.uint8], *, exif: bytes | None, profile: bytes | None) -> bytes:
    """The content of an AVIF or HEIC file, by the ending of `path`; UsageError if HEIC is not installed."""
    file = io.BytesIO()
    options = {"exif": exif} if exif else {}
    image = Image.fromarray(np.ascontiguousarray(rgba))
    image.save(file, _kind(path), quality=_QUALITY, icc_profile=profile, **options)
    return file.getvalue()


def _kind(path: Path) -> str:
    """Pillow's name of the format; HEIC is registered when it is first needed."""
    if path.suffix.lower() in AVIF_SUFFIXES:
        return "AVIF"
    try:
        import pillow_heif
    except ImportError as error:
        raise UsageError(f"{path}: HEIC needs pillow-heif. Install it: pip install 'deepclarity[heic]'.") from error
    pillow_heif.register_heif_opener()
    return "HEIF"
