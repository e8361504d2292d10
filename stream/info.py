"""Value types that describe a video before its frames arrive: size, format, rate, colour tags."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Colour:
    """The colour tags of ITU-T H.273, as their code points; 2 means unspecified."""

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
    """What is known of a video before its frames arrive."""

    name: str
    """For messages: secrets cut out."""
    width_px: int
    height_px: int
    pixel_format: str
    """FFmpeg's name of the decoder's own format."""
    time_base: Fraction
    """Seconds a tick of `Frame.pts`."""
    rate: Fraction | None = None
    """Nominal frames a second; a hint only, time is `pts`."""
    frames: int | None = None
    """How many frames the container promises."""
    duration_s: float | None = None
    sample_aspect: Fraction = Fraction(1)
    """Width over height of one sample."""
    display_matrix: tuple[int, ...] | None = None
    """3×3 fixed-point matrix of ISO 14496-12 that players turn the picture by."""
    colour: Colour = field(default_factory=Colour)
    mastering: bytes | None = None
    """SMPTE ST 2086 side data as FFmpeg's AVMasteringDisplayMetadata."""
    light_level: bytes | None = None
    """CTA-861.3 side data as FFmpeg's AVContentLightMetadata."""
    interlaced: bool = False

    @property
    def expected_frames(self) -> int | None:
        """The promised count, or one estimated from duration and rate, or nothing."""
        if self.frames:
            return self.frames
        if self.duration_s and self.rate:
            return max(1, round(self.duration_s * float(self.rate)))
        return None
