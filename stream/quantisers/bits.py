"""Reads bit fields of a video bitstream."""

from __future__ import annotations


class BitReader:
    """Reads big-endian bit fields and Exp-Golomb codes (ITU-T H.265, 9.2); IndexError behind the end."""

    def __init__(self, data: bytes) -> None:
        self._value, self._length = int.from_bytes(data, "big"), 8 * len(data)
        self.position = 0
        """Bits read so far."""

    def bits(self, count: int) -> int:
        """An unsigned number of `count` bits."""
        end = self.position + count
        if end > self._length:
            raise IndexError(f"bit {end} of {self._length}")
        self.position = end
        return (self._value >> (self._length - end)) & ((1 << count) - 1)

    def flag(self) -> bool:
        """One bit."""
        return self.bits(1) == 1

    def flags(self, count: int) -> list[bool]:
        """Several bits."""
        return [self.flag() for _ in range(count)]

    def skip(self, count: int) -> None:
        """Move on by `count` bits."""
        self.bits(count)

    def unsigned(self) -> int:
        """ue(v): an unsigned Exp-Golomb code."""
        zeros = 0
        while not self.flag():
            zeros += 1
            if zeros > 32:
                raise IndexError("no Exp-Golomb code")
        return (1 << zeros) - 1 + self.bits(zeros)

    def signed(self) -> int:
        """se(v): a signed Exp-Golomb code."""
        code = self.unsigned()
        return (code + 1) // 2 if code % 2 else -(code // 2)
