"""The parts of HEVC's parameter sets that are needed to read a slice header (ITU-T H.265, 7.3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .bits import BitReader


@dataclass(frozen=True, slots=True)
class ReferenceSet:
    """A short-term reference picture set: order of each picture against the current one, and whether it is used."""

    before: tuple[tuple[int, bool], ...]
    """Earlier pictures, nearest first: (difference in order, used by the current picture)."""
    after: tuple[tuple[int, bool], ...]
    """Later pictures, nearest first."""

    @property
    def used(self) -> int:
        """The number of pictures that the current one may refer to."""
        return sum(used for _, used in (*self.before, *self.after))


@dataclass(frozen=True, slots=True)
class Sps:
    """A sequence parameter set."""

    number: int
    has_chroma: bool
    separate_planes: bool
    order_bits: int
    """Bits of a picture order count."""
    sample_adaptive_offset: bool
    reference_sets: tuple[ReferenceSet, ...]
    long_term: bool
    long_term_used: tuple[bool, ...]
    """Of each long-term picture listed here, whether the current picture uses it."""
    temporal_vectors: bool


@dataclass(frozen=True, slots=True)
class Pps:
    """A picture parameter set."""

    number: int
    sps: int
    output_flag: bool
    extra_header_bits: int
    cabac_init: bool
    references: tuple[int, int]
    """Active references of both lists, unless a slice says otherwise."""
    initial_qp: int
    weighted: bool
    weighted_bidirectional: bool
    lists_modification: bool


def parse_sps(read: BitReader) -> Sps:
    """Parse the payload of a sequence parameter set; IndexError if it ends early."""
    read.skip(4)
    sub_layers = read.bits(3)
    read.skip(1)
    _skip_profile(read, sub_layers)
    number, chroma = read.unsigned(), read.unsigned()
    separate = chroma == 3 and read.flag()
    _skip_codes(read, 2)  # size
    if read.flag():
        _skip_codes(read, 4)  # conformance window
    _skip_codes(read, 2)  # bit depths
    order_bits = read.unsigned() + 4
    _skip_codes(read, 3 * (sub_layers + 1 if read.flag() else 1))
    _skip_codes(read, 6)  # block sizes
    if read.flag() and read.flag():
        _skip_scaling_lists(read)
    read.skip(1)
    offset = read.flag()
    if read.flag():  # PCM
        read.skip(8)
        _skip_codes(read, 2)
        read.skip(1)
    sets: list[ReferenceSet] = []
    for _ in range(min(64, read.unsigned())):
        sets.append(parse_reference_set(read, len(sets), sets, in_slice=False))
    long_term = read.flag()
    listed = _long_term_used(read, order_bits) if long_term else ()
    has_chroma = chroma != 0 and not separate
    return Sps(number, has_chroma, separate, order_bits, offset, tuple(sets), long_term, listed, read.flag())


def _long_term_used(read: BitReader, order_bits: int) -> tuple[bool, ...]:
    used = []
    for _ in range(min(32, read.unsigned())):
        read.skip(order_bits)
        used.append(read.flag())
    return tuple(used)


def _skip_codes(read: BitReader, count: int) -> None:
    for _ in range(count):
        read.unsigned()


def parse_pps(read: BitReader) -> Pps:
    """Parse the payload of a picture parameter set; IndexError if it ends early."""
    number, sps = read.unsigned(), read.unsigned()
    read.skip(1)
    output_flag, extra_bits = read.flag(), read.bits(3)
    read.skip(1)
    cabac_init = read.flag()
    references = read.unsigned() + 1, read.unsigned() + 1
    initial_qp = 26 + read.signed()
    read.skip(2)
    if read.flag():
        read.unsigned()
    for _ in range(2):
        read.signed()
    read.skip(1)
    weighted, weighted_bidirectional = read.flag(), read.flag()
    read.skip(1)
    tiles = read.flag()
    read.skip(1)
    if tiles:
        _skip_tiles(read)
    read.skip(1)
    if read.flag():
        read.skip(1)
        if not read.flag():
            read.signed()
            read.signed()
    if read.flag():
        _skip_scaling_lists(read)
    modification = read.flag()
    return Pps(
        number,
        sps,
        output_flag,
        extra_bits,
        cabac_init,
        references,
        initial_qp,
        weighted,
        weighted_bidirectional,
        modification,
    )


def parse_reference_set(
    read: BitReader, index: int, sets: Sequence[ReferenceSet], *, in_slice: bool = True
) -> ReferenceSet:
    """Parse an st_ref_pic_set (7.3.7, 7.4.8).

    `index`: its number; `sets`: those before it; `in_slice`: whether it is part of a slice header.
    """
    if index and read.flag():
        behind = read.unsigned() + 1 if in_slice else 1
        sign = -1 if read.flag() else 1
        shift = sign * (read.unsigned() + 1)
        if behind > index:
            raise IndexError("reference set before the first")
        return _predicted(read, sets[index - behind], shift)
    counts = read.unsigned(), read.unsigned()
    if max(counts) > 16:
        raise IndexError("more than 16 references")
    sides = []
    for count, sign in zip(counts, (-1, 1), strict=True):
        order, side = 0, []
        for _ in range(count):
            order += sign * (read.unsigned() + 1)
            side.append((order, read.flag()))
        sides.append(tuple(side))
    return ReferenceSet(*sides)


def _predicted(read: BitReader, reference: ReferenceSet, shift: int) -> ReferenceSet:
    """A set that is given as that of another picture, moved by `shift` (equations 7-61 and 7-62)."""
    found = []
    for order in (*(order for order, _ in reference.before), *(order for order, _ in reference.after), 0):
        used = read.flag()
        if used or read.flag():
            found.append((order + shift, used))
    before = sorted(((order, used) for order, used in found if order < 0), key=lambda each: -each[0])
    after = sorted((order, used) for order, used in found if order > 0)
    return ReferenceSet(tuple(before), tuple(after))


def _skip_profile(read: BitReader, sub_layers: int) -> None:
    """Skip a profile_tier_level with a general profile (7.3.3)."""
    read.skip(96)
    present = [(read.flag(), read.flag()) for _ in range(sub_layers)]
    if sub_layers:
        read.skip(2 * (8 - sub_layers))
    for profile, level in present:
        read.skip(88 * profile + 8 * level)


def _skip_scaling_lists(read: BitReader) -> None:
    """Skip a scaling_list_data (7.3.4)."""
    for size in range(4):
        for _ in range(2 if size == 3 else 6):
            if not read.flag():
                read.unsigned()
                continue
            for _ in range(min(64, 1 << (4 + 2 * size)) + (size > 1)):
                read.signed()


def _skip_tiles(read: BitReader) -> None:
    columns, rows = read.unsigned(), read.unsigned()
    if not read.flag():
        for _ in range(min(64, columns) + min(64, rows)):
            read.unsigned()
    read.skip(1)
