"""H.264 headers: parameter sets, and the pictures at which decoding can begin (ITU-T H.264, 7.3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .bits import BitReader, join_lengths, join_start_codes, split_lengths, split_start_codes
from .errors import CopyError

SLICE, PARTITION_A, PARTITION_C, IDR_SLICE, SEI, SPS, PPS = 1, 2, 4, 5, 6, 7, 8
"""Types of NAL units (table 7-1)."""

_SCALABLE_OR_STEREO = (14, 15, 20, 21)
_HIGH_PROFILES = (44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244)
"""Profiles whose sequence parameter set states chroma format and bit depth."""
_RECOVERY_POINT = 6
_I_SLICES = (2, 7)


@dataclass(frozen=True, slots=True)
class SequenceParameters:
    """What a sequence parameter set says, as far as copying depends on it."""

    identifier: int
    profile: int
    level: int
    chroma_format: int
    """0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4."""
    depths: tuple[int, int]
    """Bits per sample of luma and chroma."""
    size_macroblocks: tuple[int, int]
    frames_only: bool
    """Whether no picture is coded in fields."""


def parse_sps(unit: bytes) -> SequenceParameters:
    """Parse a sequence parameter set, NAL unit header included (7.3.2.1.1)."""
    bits = BitReader(unit[1:])
    profile, _, level = bits.bits(8), bits.bits(8), bits.bits(8)
    identifier = bits.unsigned()
    chroma_format, depths = 1, (8, 8)
    if profile in _HIGH_PROFILES:
        chroma_format = bits.unsigned()
        if chroma_format == 3:
            bits.flag()
        depths = 8 + bits.unsigned(), 8 + bits.unsigned()
        bits.flag()
        if bits.flag():
            for number in range(8 if chroma_format != 3 else 12):
                if bits.flag():
                    _skip_scaling_list(bits, 16 if number < 6 else 64)
    bits.unsigned()
    _skip_order_count(bits)
    bits.unsigned()
    bits.flag()
    size = bits.unsigned() + 1, bits.unsigned() + 1
    return SequenceParameters(identifier, profile, level, chroma_format, depths, size, bits.flag())


def parse_pps_identifier(unit: bytes) -> int:
    """The identifier of a picture parameter set, NAL unit header included (7.3.2.2)."""
    return BitReader(unit[1:]).unsigned()


def _skip_scaling_list(bits: BitReader, count: int) -> None:
    last, upcoming = 8, 8
    for _ in range(count):
        if upcoming:
            upcoming = (last + bits.signed()) % 256
        last = upcoming or last


def _skip_order_count(bits: BitReader) -> None:
    kind = bits.unsigned()
    if kind == 0:
        bits.unsigned()
    elif kind == 1:
        bits.flag()
        bits.signed()
        bits.signed()
        for _ in range(bits.unsigned()):
            bits.signed()


def is_recovery_point(unit: bytes) -> bool:
    """Whether an SEI unit says that all pictures from here on, in output order, can be decoded (D.2.8)."""
    position, payload = 1, unit
    while position + 2 < len(payload):
        kind, position = _sei_number(payload, position)
        size, position = _sei_number(payload, position)
        if kind == _RECOVERY_POINT:
            return BitReader(payload[position : position + size + 2]).unsigned() == 0
        position += size
    return False


def _sei_number(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    while position < len(data) and data[position] == 0xFF:
        value, position = value + 255, position + 1
    return value + (data[position] if position < len(data) else 0), position + 1


def is_intra_slice(unit: bytes) -> bool:
    """Whether a slice, NAL unit header included, is predicted from no other picture (7.4.3)."""
    bits = BitReader(unit[1:12])
    bits.unsigned()
    return bits.unsigned() in _I_SLICES


def has_layers(unit: bytes) -> bool:
    """Whether a NAL unit belongs to scalable or stereo video (annexes F to H)."""
    return unit[0] & 31 in _SCALABLE_OR_STEREO


@dataclass(frozen=True, slots=True)
class AvcConfig:
    """The parameter sets of a track, and how its packets hold NAL units (ISO/IEC 14496-15, 5.3.3)."""

    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]
    length_bytes: int
    """Bytes of the length before each NAL unit; 0: start codes."""

    @classmethod
    def parse(cls, extradata: bytes) -> AvcConfig:
        """Parse a configuration record or parameter sets with start codes; CopyError if it is neither."""
        if extradata[:1] != b"\x01":
            units = list(split_start_codes(extradata))
            config = cls(_of_type(units, SPS), _of_type(units, PPS), 0)
        else:
            config = cls._parse_record(extradata)
        if not config.sps or not config.pps:
            raise CopyError("there are no parameter sets in the header of the file")
        return config

    @classmethod
    def _parse_record(cls, record: bytes) -> AvcConfig:
        if len(record) < 7:
            raise CopyError("the decoder configuration is cut off")
        sps, position = _sets(record, 6, record[5] & 31)
        pps, _ = _sets(record, position + 1, record[position] if position < len(record) else 0)
        return cls(sps, pps, (record[4] & 3) + 1)

    @property
    def sequences(self) -> tuple[SequenceParameters, ...]:
        """The parsed sequence parameter sets."""
        return tuple(parse_sps(unit) for unit in self.sps)

    def free_identifier(self) -> int | None:
        """An identifier that no parameter set has, for both kinds; None if all are taken."""
        taken = {each.identifier for each in self.sequences} | {parse_pps_identifier(unit) for unit in self.pps}
        return next((number for number in range(1, 32) if number not in taken), None)

    def merged(self, other: AvcConfig) -> AvcConfig:
        """The parameter sets of both; packets are held as in this one."""
        return AvcConfig((*self.sps, *other.sps), (*self.pps, *other.pps), self.length_bytes)

    def pack(self) -> bytes:
        """The extradata: a configuration record, or parameter sets with start codes."""
        if not self.length_bytes:
            return join_start_codes((*self.sps, *self.pps))
        sequences = self.sequences
        profile = max(each.profile for each in sequences)
        compatible = 0xFF
        for unit in self.sps:
            compatible &= unit[2]
        level = max(each.level for each in sequences)
        head = bytes([1, profile, compatible, level, 0xFC | self.length_bytes - 1, 0xE0 | len(self.sps)])
        record = head + join_lengths(self.sps, 2) + bytes([len(self.pps)]) + join_lengths(self.pps, 2)
        if profile in _HIGH_PROFILES:
            luma, chroma = sequences[0].depths
            record += bytes([0xFC | sequences[0].chroma_format, 0xF8 | luma - 8, 0xF8 | chroma - 8, 0])
        return record

    def units(self, packet: bytes) -> Iterator[bytes]:
        """Yield the NAL units of a packet."""
        return split_lengths(packet, self.length_bytes) if self.length_bytes else split_start_codes(packet)

    def join(self, units: Iterator[bytes]) -> bytes:
        """A packet of these NAL units."""
        return join_lengths(units, self.length_bytes) if self.length_bytes else join_start_codes(units)


def _of_type(units: list[bytes], kind: int) -> tuple[bytes, ...]:
    return tuple(unit for unit in units if unit[0] & 31 == kind)


def _sets(record: bytes, position: int, count: int) -> tuple[tuple[bytes, ...], int]:
    """`count` parameter sets from `position` on, and the position behind them."""
    sets = []
    for _ in range(count):
        begin = position + 2
        position = begin + int.from_bytes(record[position:begin], "big")
        if position > len(record) or position == begin:
            raise CopyError("the decoder configuration is cut off")
        sets.append(record[begin:position])
    return tuple(sets), position
