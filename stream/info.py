"""Video properties known before decoding: size, pixel format, frame rate, colour tags, HDR metadata."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Colour:
    """Colour tags as ITU-T H.273 code points; 2 means unspecified."""

    primaries: int = 2
    transfer: int = 2
    matrix: int = 2
    range: int = 0
    """0 unspecified, 1 limited (16..235), 2 full (0..255)."""

    @property
    def hdr(self) -> bool:
        """PQ (SMPTE ST 2084) or HLG (ARIB STD-B67)."""
        return self.transfer in (16, 18)


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """Video properties known before decoding."""

    name: str
    """Name for messages, without credentials."""
    width_px: int
    height_px: int
    pixel_format: str
    """FFmpeg's name of the decoder's output format."""
    time_base: Fraction
    """Seconds per tick of `Frame.pts`."""
    rate: Fraction | None = None
    """Nominal frames per second; only a hint, `pts` is authoritative."""
    frames: int | None = None
    """Frame count according to the container."""
    duration_s: float | None = None
    sample_aspect: Fraction = Fraction(1)
    """Sample aspect ratio, width over height."""
    display_matrix: tuple[int, ...] | None = None
    """3×3 fixed-point matrix (ISO/IEC 14496-12) by which players rotate or flip the picture."""
    colour: Colour = field(default_factory=Colour)
    mastering: bytes | None = None
    """Mastering display metadata (SMPTE ST 2086) as FFmpeg's AVMasteringDisplayMetadata."""
    light_level: bytes | None = None
    """Content light level (CTA-861.3) as FFmpeg's AVContentLightMetadata."""
    interlaced: bool = False
    transparent: bool = False
    """Whether pictures have opacity beside their colours."""

    @property
    def expected_frames(self) -> int | None:
        """The container's frame count, else an estimate from duration and rate, else None."""
        if self.frames:
            return self.frames
        if self.duration_s and self.rate:
            return max(1, round(self.duration_s * float(self.rate)))
        return None
