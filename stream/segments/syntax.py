"""What the packets of each codec say about copying: entries, and changes that a copy cannot follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from . import h264
from .errors import CopyError
from .h264 import AvcConfig
from .segment import Entry


@dataclass(frozen=True, slots=True)
class PacketSyntax:
    """What one packet says."""

    entry: Entry
    obstacle: str | None = None
    """Why this packet and all that follow must not be copied."""


class Syntax(Protocol):
    """Reads the packets of one track."""

    def read(self, packet: bytes, *, key: bool) -> PacketSyntax:
        """What `packet` says; `key`: whether the container calls it a key frame."""
        ...


class H264Syntax:
    """Entries of H.264: IDR pictures, and recovery points at which an intra picture stands."""

    def __init__(self, config: AvcConfig) -> None:
        self.config = config
        self._known = {*config.sps, *config.pps}

    def read(self, packet: bytes, *, key: bool) -> PacketSyntax:
        """See `Syntax`. The container's word does not count: many call every intra picture a key frame."""
        entry, recovers = Entry.NONE, False
        try:
            for unit in self.config.units(packet):
                kind = unit[0] & 31
                if kind == h264.IDR_SLICE:
                    entry = Entry.CLOSED
                elif kind == h264.SEI:
                    recovers = recovers or h264.is_recovery_point(unit)
                elif kind == h264.SLICE:
                    if recovers and h264.is_intra_slice(unit):
                        entry = Entry.OPEN
                    recovers = False
                elif kind in (h264.SPS, h264.PPS):
                    if unit not in self._known:
                        return PacketSyntax(entry, "the coding parameters change in the middle")
                elif h264.has_layers(unit):
                    return PacketSyntax(entry, "the video has several layers")
        except CopyError as error:
            return PacketSyntax(Entry.NONE, f"a packet is damaged: {error}")
        return PacketSyntax(entry)


class HevcSyntax:
    """Entries of HEVC: IDR and BLA pictures are closed, CRA pictures open (ITU-T H.265, table 7-1)."""

    def __init__(self, length_bytes: int) -> None:
        """`length_bytes`: see `AvcConfig`."""
        self._config = AvcConfig((), (), length_bytes)

    @classmethod
    def of(cls, extradata: bytes) -> HevcSyntax:
        """For a track with a configuration record (ISO/IEC 14496-15, 8.3.3) or start codes."""
        is_record = extradata[:1] == b"\x01" and len(extradata) > 22
        return cls((extradata[21] & 3) + 1 if is_record else 0)

    def read(self, packet: bytes, *, key: bool) -> PacketSyntax:
        """See `Syntax`."""
        try:
            units = [unit for unit in self._config.units(packet) if len(unit) > 1]
        except CopyError as error:
            return PacketSyntax(Entry.NONE, f"a packet is damaged: {error}")
        if any(unit[0] & 1 or unit[1] >> 3 for unit in units):
            return PacketSyntax(Entry.NONE, "the video has several layers")
        kinds = {unit[0] >> 1 & 63 for unit in units}
        if kinds & {16, 17, 18, 19, 20}:
            return PacketSyntax(Entry.CLOSED)
        return PacketSyntax(Entry.OPEN if 21 in kinds else Entry.NONE)


class KeyFrameSyntax:
    """Entries of VP9 and AV1: the key frames that the container names."""

    def read(self, packet: bytes, *, key: bool) -> PacketSyntax:
        """See `Syntax`."""
        return PacketSyntax(Entry.CLOSED if key else Entry.NONE)


def syntax_of(codec: str, extradata: bytes) -> Syntax:
    """The syntax of a track; CopyError if its packets cannot be read."""
    if codec == "h264":
        return H264Syntax(AvcConfig.parse(extradata))
    if codec == "hevc":
        return HevcSyntax.of(extradata)
    if codec in ("vp9", "av1"):
        return KeyFrameSyntax()
    raise CopyError(f"segments of {codec} are not known")
