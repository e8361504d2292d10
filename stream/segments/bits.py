"""Reads bits and Exp-Golomb codes from H.264 and HEVC headers, and splits packets into NAL units."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .errors import CopyError

_START_CODE = b"\x00\x00\x01"


class BitReader:
    """Reads the payload of a NAL unit, most significant bit first (ITU-T H.264, 7.2 and 9.1).

    Raises CopyError past the end.
    """

    def __init__(self, payload: bytes) -> None:
        """`payload`: the bytes behind the header of the NAL unit, emulation prevention included."""
        data = payload.replace(b"\x00\x00\x03", b"\x00\x00")
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def bits(self, count: int) -> int:
        """An unsigned number of `count` bits."""
        if count > self._left:
            raise CopyError("a header ends too early")
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)

    def flag(self) -> bool:
        """One bit."""
        return bool(self.bits(1))

    def unsigned(self) -> int:
        """An unsigned Exp-Golomb code, `ue(v)`."""
        zeros = 0
        while not self.bits(1):
            zeros += 1
            if zeros > 32:
                raise CopyError("a header holds a number of more than 32 bits")
        return (1 << zeros) - 1 + self.bits(zeros)

    def signed(self) -> int:
        """A signed Exp-Golomb code, `se(v)`."""
        code = self.unsigned()
        return (code + 1) // 2 if code % 2 else -code // 2


def split_start_codes(data: bytes) -> Iterator[bytes]:
    """Yield the NAL units of a byte stream with start codes (ITU-T H.264, annex B)."""
    begin = data.find(_START_CODE)
    while begin >= 0:
        begin += 3
        end = data.find(_START_CODE, begin)
        unit = data[begin : end if end >= 0 else len(data)].rstrip(b"\x00")
        if unit:
            yield unit
        begin = end


def split_lengths(data: bytes, length_bytes: int) -> Iterator[bytes]:
    """Yield the NAL units of a packet in which each is preceded by its length; CopyError if one is cut off."""
    position = 0
    while position < len(data):
        begin = position + length_bytes
        position = begin + int.from_bytes(data[position:begin], "big")
        if position > len(data):
            raise CopyError("a NAL unit is longer than its packet")
        if position > begin:
            yield data[begin:position]


def join_lengths(units: Iterable[bytes], length_bytes: int) -> bytes:
    """NAL units, each preceded by its length; the inverse of `split_lengths`."""
    return b"".join(len(unit).to_bytes(length_bytes, "big") + unit for unit in units)


def join_start_codes(units: Iterable[bytes]) -> bytes:
    """NAL units, each preceded by a start code."""
    return b"".join(b"\x00" + _START_CODE + unit for unit in units)
