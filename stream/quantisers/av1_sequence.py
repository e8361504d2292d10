"""The parts of AV1's sequence header that are needed to read a frame header (AV1 bitstream specification, 5.5)."""

from __future__ import annotations

from dataclasses import dataclass

from .bits import BitReader

_MAX_LEVEL_WITHOUT_TIER = 7


@dataclass(frozen=True, slots=True)
class Sequence:
    """A sequence header."""

    reduced: bool
    """Whether it is that of a still picture with a reduced header."""
    size: tuple[int, int]
    """Largest (width, height)."""
    size_bits: tuple[int, int]
    id_bits: int
    """Bits of a frame's number; 0: frames have none."""
    delta_id_bits: int
    large_blocks: bool
    """Whether superblocks are 128x128."""
    order_bits: int
    """Bits of an order hint; 0: there are none."""
    reference_vectors: bool
    screen_content: bool | None
    """Whether tools for screen content are on; None: each frame says so."""
    integer_vectors: bool | None
    super_resolution: bool
    presentation_bits: int
    """Bits of a presentation time in each shown frame."""
    removal_bits: int | None
    """Bits of a buffer removal time; None: there is no decoder model."""
    operating_points: tuple[bool, ...]
    """Of each operating point, whether it has a decoder model."""


@dataclass(slots=True)
class _Timing:
    presentation_bits: int = 0
    removal_bits: int | None = None
    delay_bits: int = 0


@dataclass(slots=True)
class _Tools:
    order_bits: int = 0
    reference_vectors: bool = False
    screen_content: bool | None = None
    integer_vectors: bool | None = None


def parse_sequence(read: BitReader) -> Sequence:
    """Parse the payload of a sequence header OBU; IndexError if it ends early."""
    read.skip(4)
    reduced = read.flag()
    timing, points = _Timing(), [False]
    if reduced:
        read.skip(5)
    else:
        timing, points = _timing_and_points(read)
    size_bits = read.bits(4) + 1, read.bits(4) + 1
    size = read.bits(size_bits[0]) + 1, read.bits(size_bits[1]) + 1
    id_bits = delta_bits = 0
    if not reduced and read.flag():
        delta_bits = read.bits(4) + 2
        id_bits = read.bits(3) + delta_bits + 1
    large = read.flag()
    read.skip(2)
    tools = _Tools() if reduced else _tools(read)
    return Sequence(
        reduced,
        size,
        size_bits,
        id_bits,
        delta_bits,
        large,
        tools.order_bits,
        tools.reference_vectors,
        tools.screen_content,
        tools.integer_vectors,
        read.flag(),
        timing.presentation_bits,
        timing.removal_bits,
        tuple(points),
    )


def _timing_and_points(read: BitReader) -> tuple[_Timing, list[bool]]:
    timing = _Timing()
    if read.flag():
        read.skip(64)
        equal_intervals = read.flag()
        if equal_intervals:
            read.unsigned()
        if read.flag():
            timing.delay_bits = read.bits(5) + 1
            read.skip(32)
            timing.removal_bits = read.bits(5) + 1
            bits = read.bits(5) + 1
            timing.presentation_bits = 0 if equal_intervals else bits
    delays, points = read.flag(), []
    for _ in range(read.bits(5) + 1):
        read.skip(12)
        if read.bits(5) > _MAX_LEVEL_WITHOUT_TIER:
            read.skip(1)
        points.append(timing.removal_bits is not None and read.flag())
        if points[-1]:
            read.skip(2 * timing.delay_bits + 1)
        if delays and read.flag():
            read.skip(4)
    return timing, points


def _tools(read: BitReader) -> _Tools:
    tools = _Tools()
    read.skip(4)
    has_order = read.flag()
    if has_order:
        read.skip(1)
        tools.reference_vectors = read.flag()
    tools.screen_content = None if read.flag() else read.flag()
    if tools.screen_content is not False:
        tools.integer_vectors = None if read.flag() else read.flag()
    if has_order:
        tools.order_bits = read.bits(3) + 1
    return tools
