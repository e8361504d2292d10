"""Quantisers of HEVC pictures: the slice QP, from parameter sets and slice headers (ITU-T H.265, 7.3).

FFmpeg's decoder exports none. Coding units may differ from their slice's QP; the mean of a picture is close to it.
"""

from __future__ import annotations

from collections.abc import Iterator

from .bits import BitReader
from .hevc_parameters import Pps, ReferenceSet, Sps, parse_pps, parse_reference_set, parse_sps

_IDR, _IRAP, _MAX_SLICE = (19, 20), range(16, 24), 31
_SPS, _PPS = 33, 34
_MAX_HEADER = 512
"""Bytes of a slice that are looked at: far more than a header has."""
_B, _P, _I = range(3)


class HevcQuantisers:
    """Reads the quantiser of each picture from its packet; keeps the parameter sets that came before."""

    def __init__(self, extradata: bytes | None) -> None:
        """`extradata`: of the track: an `HEVCDecoderConfigurationRecord` (ISO/IEC 14496-15, 8.3.3), NAL units with
        start codes, or None."""
        self._sps: dict[int, Sps] = {}
        self._pps: dict[int, Pps] = {}
        self._length_bytes = 0
        """Bytes of the length before each NAL unit; 0: start codes."""
        if not extradata:
            return
        if extradata[0] == 1 and len(extradata) > 22:
            self._length_bytes = (extradata[21] & 3) + 1
            units = _units_of_record(extradata)
        else:
            units = _units_by_start_code(extradata)
        for unit in units:
            self._keep(unit)

    def quantiser_of(self, packet: bytes) -> float | None:
        """The QP of the first slice in `packet`, 0 to 51; None if there is none, or it cannot be read."""
        units = _units_by_length(packet, self._length_bytes) if self._length_bytes else _units_by_start_code(packet)
        for unit in units:
            if len(unit) > 2 and _type_of(unit) <= _MAX_SLICE and not _layer_of(unit):
                try:
                    return float(min(51, max(0, self._slice_qp(unit))))
                except (IndexError, KeyError):
                    return None
            self._keep(unit)
        return None

    def _keep(self, unit: bytes) -> None:
        """Remember a parameter set; one that cannot be read is left out."""
        if len(unit) < 3 or _layer_of(unit) or _type_of(unit) not in (_SPS, _PPS):
            return
        reader = BitReader(_payload(unit[2:]))
        try:
            if _type_of(unit) == _SPS:
                sps = parse_sps(reader)
                self._sps[sps.number] = sps
            else:
                pps = parse_pps(reader)
                self._pps[pps.number] = pps
        except IndexError:
            return

    def _slice_qp(self, unit: bytes) -> int:
        """26 + init_qp_minus26 + slice_qp_delta (7.4.7.1) of the first segment of a picture."""
        read = BitReader(_payload(unit[2:_MAX_HEADER]))
        kind = _type_of(unit)
        if not read.flag():
            raise IndexError("not the first slice segment")
        if kind in _IRAP:
            read.skip(1)
        pps = self._pps[read.unsigned()]
        sps = self._sps[pps.sps]
        read.skip(pps.extra_header_bits)
        slice_type = read.unsigned()
        read.skip(pps.output_flag + 2 * sps.separate_planes)
        references, temporal_vectors = 0, False
        if kind not in _IDR:
            references = _references(read, sps)
            temporal_vectors = sps.temporal_vectors and read.flag()
        if sps.sample_adaptive_offset:
            read.skip(1 + sps.has_chroma)
        if slice_type != _I:
            _skip_prediction(read, sps, pps, slice_type, references, temporal_vectors=temporal_vectors)
        return pps.initial_qp + read.signed()


def _references(read: BitReader, sps: Sps) -> int:
    """Read the reference picture sets of a slice; returns how many pictures may be referred to (NumPicTotalCurr)."""
    read.skip(sps.order_bits)
    if not read.flag():
        chosen: ReferenceSet = parse_reference_set(read, len(sps.reference_sets), sps.reference_sets)
    else:
        count = len(sps.reference_sets)
        chosen = sps.reference_sets[read.bits((count - 1).bit_length()) if count > 1 else 0]
    used = chosen.used
    if sps.long_term:
        listed = len(sps.long_term_used)
        from_sps = read.unsigned() if listed else 0
        for i in range(from_sps + read.unsigned()):
            if i < from_sps:
                used += sps.long_term_used[read.bits((listed - 1).bit_length()) if listed > 1 else 0]
            else:
                read.skip(sps.order_bits)
                used += read.flag()
            if read.flag():
                read.unsigned()
    return used


def _skip_prediction(
    read: BitReader, sps: Sps, pps: Pps, slice_type: int, references: int, *, temporal_vectors: bool
) -> None:
    """Skip what a P or B slice has between its references and its QP."""
    bidirectional = slice_type == _B
    counts = list(pps.references)
    if read.flag():
        counts[0] = read.unsigned() + 1
        if bidirectional:
            counts[1] = read.unsigned() + 1
    if not bidirectional:
        counts[1] = 0
    if pps.lists_modification and references > 1:
        for count in counts[: 1 + bidirectional]:
            if read.flag():
                read.skip(count * (references - 1).bit_length())
    read.skip(bidirectional + pps.cabac_init)
    if temporal_vectors:
        from_first = read.flag() if bidirectional else True
        if counts[0 if from_first else 1] > 1:
            read.unsigned()
    if pps.weighted_bidirectional if bidirectional else pps.weighted:
        _skip_weights(read, counts[: 1 + bidirectional], chroma=sps.has_chroma)
    read.unsigned()  # five_minus_max_num_merge_cand


def _skip_weights(read: BitReader, counts: list[int], *, chroma: bool) -> None:
    """Skip a pred_weight_table (7.3.6.3)."""
    read.unsigned()
    if chroma:
        read.signed()
    for count in counts:
        luma = read.flags(count)
        colour = read.flags(count) if chroma else [False] * count
        for has_luma, has_colour in zip(luma, colour, strict=True):
            for _ in range(2 * has_luma + 4 * has_colour):
                read.signed()


def _type_of(unit: bytes) -> int:
    return (unit[0] >> 1) & 63


def _layer_of(unit: bytes) -> int:
    return (unit[0] & 1) << 5 | unit[1] >> 3


def _payload(unit: bytes) -> bytes:
    """Without the bytes that prevent start codes (7.4.2)."""
    return unit.replace(b"\0\0\3", b"\0\0")


def _units_by_length(packet: bytes, length_bytes: int) -> Iterator[bytes]:
    start = 0
    while start + length_bytes < len(packet):
        end = start + length_bytes + int.from_bytes(packet[start : start + length_bytes], "big")
        yield packet[start + length_bytes : min(end, start + length_bytes + _MAX_HEADER)]
        start = end


def _units_by_start_code(packet: bytes) -> Iterator[bytes]:
    start = packet.find(b"\0\0\1")
    while start >= 0:
        end = packet.find(b"\0\0\1", start + 3)
        yield packet[start + 3 : min(len(packet) if end < 0 else end, start + 3 + _MAX_HEADER)]
        start = end


def _units_of_record(record: bytes) -> Iterator[bytes]:
    """The NAL units in an HEVCDecoderConfigurationRecord."""
    at = 23
    for _ in range(record[22]):
        count = int.from_bytes(record[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            length = int.from_bytes(record[at : at + 2], "big")
            yield record[at + 2 : at + 2 + length]
            at += 2 + length
