"""Quantisers of AV1 pictures: `base_q_idx` of the frame header (AV1 bitstream specification, 5.9).

FFmpeg's decoders export none. Blocks may differ from it; the mean of a picture is close to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .av1_sequence import Sequence, parse_sequence
from .bits import BitReader

_SEQUENCE_HEADER, _FRAME_HEADER, _FRAME = 1, 3, 6
_MAX_HEADER = 512
"""Bytes of an OBU that are looked at: far more than a header has."""
_KEY, _INTER, _INTRA_ONLY, _SWITCH = range(4)
_ALL = 0xFF
_MAX_TILE_WIDTH, _MAX_TILE_AREA, _MAX_TILES = 4096, 4096 * 2304, 64


@dataclass(frozen=True, slots=True)
class _Picture:
    """What is remembered of a picture in a reference slot."""

    base_q_idx: int
    size: tuple[int, int]
    """(width, height) before the enlargement of super-resolution is undone."""


@dataclass(slots=True)
class _Header:
    """What the beginning of a frame header says."""

    kind: int = _KEY
    shown: bool = True
    resilient: bool = True
    screen_content: bool = False
    integer_vectors: bool = False
    other_size: bool = False
    refresh: int = _ALL
    no_update: bool = False

    @property
    def intra(self) -> bool:
        return self.kind in (_KEY, _INTRA_ONLY)


class Av1Quantisers:
    """Reads the quantiser of each shown picture from its temporal unit; keeps what later ones refer to."""

    def __init__(self, extradata: bytes | None) -> None:
        """`extradata`: of the track: an `AV1CodecConfigurationRecord` (AV1 in ISO BMFF, 2.3), or None."""
        self._sequence: Sequence | None = None
        self._slots: list[_Picture | None] = [None] * 8
        if extradata and len(extradata) > 4:
            self._look(extradata[4:])

    def quantiser_of(self, packet: bytes) -> float | None:
        """The `base_q_idx`, 0 to 255, of the picture that `packet` shows; None if none is shown or can be read."""
        return self._look(packet)

    def _look(self, units: bytes) -> float | None:
        found = None
        for kind, payload in _units(units):
            try:
                if kind == _SEQUENCE_HEADER:
                    self._sequence = parse_sequence(BitReader(payload))
                elif kind in (_FRAME_HEADER, _FRAME) and self._sequence is not None and found is None:
                    found = self._frame(BitReader(payload), self._sequence)
            except IndexError:
                return None
        return found

    def _frame(self, read: BitReader, sequence: Sequence) -> float | None:
        """Read a frame header; returns the quantiser if the picture is shown."""
        if not sequence.reduced and read.flag():
            existing = self._slots[read.bits(3)]
            return None if existing is None else float(existing.base_q_idx)
        header = _beginning(read, sequence)
        size = self._references(read, sequence, header)
        if not (sequence.reduced or header.no_update):
            read.skip(1)
        _skip_tiles(read, size, large=sequence.large_blocks)
        picture = _Picture(read.bits(8), size)
        for slot in range(8):
            if header.refresh >> slot & 1:
                self._slots[slot] = picture
        return float(picture.base_q_idx) if header.shown else None

    def _references(self, read: BitReader, sequence: Sequence, header: _Header) -> tuple[int, int]:
        """Read references and size; returns (width, height)."""
        if header.intra:
            size, enlarged = _size(read, sequence, other=header.other_size)
            if header.screen_content and not enlarged:
                read.skip(1)
            return size
        short = sequence.order_bits > 0 and read.flag()
        if short:
            read.skip(6)
        chosen = []
        for _ in range(7):
            if not short:
                chosen.append(read.bits(3))
            read.skip(sequence.delta_id_bits)
        size = self._size_by_references(read, sequence, header, chosen)
        if not header.integer_vectors:
            read.skip(1)
        if not read.flag():
            read.skip(2)
        read.skip(1)
        if not header.resilient and sequence.reference_vectors:
            read.skip(1)
        return size

    def _size_by_references(
        self, read: BitReader, sequence: Sequence, header: _Header, chosen: list[int]
    ) -> tuple[int, int]:
        if header.other_size and not header.resilient:
            for i in range(7):
                if read.flag():
                    reference = self._slots[chosen[i]] if chosen else None
                    if reference is None or sequence.super_resolution:
                        raise IndexError("unknown size of a reference")
                    return reference.size
        return _size(read, sequence, other=header.other_size)[0]


def _beginning(read: BitReader, sequence: Sequence) -> _Header:
    """The header up to `refresh_frame_flags` and the order hints after it."""
    header = _Header()
    if not sequence.reduced:
        header.kind, header.shown = read.bits(2), read.flag()
        if header.shown:
            read.skip(sequence.presentation_bits)
        else:
            read.skip(1)
        header.resilient = header.kind == _SWITCH or (header.kind == _KEY and header.shown) or read.flag()
    header.no_update = read.flag()
    header.screen_content = read.flag() if sequence.screen_content is None else sequence.screen_content
    if header.screen_content:
        header.integer_vectors = read.flag() if sequence.integer_vectors is None else sequence.integer_vectors
    read.skip(sequence.id_bits)
    header.other_size = header.kind == _SWITCH or (not sequence.reduced and read.flag())
    read.skip(sequence.order_bits)
    if not (header.intra or header.resilient):
        read.skip(3)
    if sequence.removal_bits is not None and read.flag():
        if len(sequence.operating_points) > 1:
            raise IndexError("several operating points with a decoder model")
        read.skip(sequence.removal_bits * sequence.operating_points[0])
    if not (header.kind == _SWITCH or (header.kind == _KEY and header.shown)):
        header.refresh = read.bits(8)
    if (not header.intra or header.refresh != _ALL) and header.resilient and sequence.order_bits:
        read.skip(8 * sequence.order_bits)
    return header


def _size(read: BitReader, sequence: Sequence, *, other: bool) -> tuple[tuple[int, int], bool]:
    """(width, height) as coded, and whether super-resolution enlarges it."""
    width, height = sequence.size
    if other:
        width, height = read.bits(sequence.size_bits[0]) + 1, read.bits(sequence.size_bits[1]) + 1
    enlarged = sequence.super_resolution and read.flag()
    if enlarged:
        denominator = read.bits(3) + 9
        width = (8 * width + denominator // 2) // denominator
    if read.flag():
        read.skip(32)
    return (width, height), enlarged


def _skip_tiles(read: BitReader, size: tuple[int, int], *, large: bool) -> None:
    """Skip a tile_info (5.9.15)."""
    shift = 5 if large else 4
    columns, rows = ((2 * ((side + 7) >> 3) + (1 << shift) - 1) >> shift for side in size)
    max_width, max_area = _MAX_TILE_WIDTH >> (shift + 2), _MAX_TILE_AREA >> 2 * (shift + 2)
    least_columns, least = _log2(max_width, columns), _log2(max_area, rows * columns)
    least = max(least_columns, least)
    if read.flag():
        across = _increments(read, least_columns, _log2(1, min(columns, _MAX_TILES)))
        down = _increments(read, max(least - across, 0), _log2(1, min(rows, _MAX_TILES)))
    else:
        count, widest = _skip_sizes(read, columns, max_width)
        across = _log2(1, count)
        area = rows * columns >> (least + 1) if least else rows * columns
        down = _log2(1, _skip_sizes(read, rows, max(area // widest, 1))[0])
    if across or down:
        read.skip(across + down + 2)


def _increments(read: BitReader, least: int, most: int) -> int:
    count = least
    while count < most and read.flag():
        count += 1
    return count


def _skip_sizes(read: BitReader, total: int, most: int) -> tuple[int, int]:
    """Skip the sizes of tiles along one axis; returns their number and the largest."""
    count = largest = done = 0
    while done < total:
        size = _non_symmetric(read, min(total - done, most)) + 1
        count, largest, done = count + 1, max(largest, size), done + size
    return count, largest


def _non_symmetric(read: BitReader, count: int) -> int:
    """ns(n): a number below `count` (4.10.7)."""
    width = count.bit_length()
    few = (1 << width) - count
    value = read.bits(width - 1)
    return value if value < few else (value << 1) - few + read.bits(1)


def _log2(block: int, target: int) -> int:
    """The least k for which block << k reaches `target`."""
    k = 0
    while block << k < target:
        k += 1
    return k


def _units(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and the first bytes of the payload of each OBU (5.3)."""
    at = 0
    while at < len(data):
        header = data[at]
        at += 2 if header & 4 else 1
        length = len(data) - at
        if header & 2:
            length, at = _leb128(data, at)
        yield header >> 3 & 15, data[at : at + min(length, _MAX_HEADER)]
        at += length


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """A little-endian base-128 number (4.10.5), and the position behind it."""
    value = 0
    for i, byte in enumerate(data[at : at + 8]):
        value |= (byte & 127) << 7 * i
        if not byte & 128:
            return value, at + i + 1
    return 0, len(data)
