"""AAC from transport streams: strips ADTS headers (ISO 13818-7), which RTP does not carry."""

from __future__ import annotations

_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_LOW_COMPLEXITY = 2


def without_head(packet: bytes) -> bytes:
    """The coded sound itself; a packet without such a head is returned as it is."""
    if len(packet) < 7 or packet[0] != 0xFF or packet[1] & 0xF6 != 0xF0:
        return packet
    has_crc = not packet[1] & 1  # a checksum follows the head
    return packet[9 if has_crc else 7 :]


def audio_specific_config(rate_hz: int, channels: int) -> bytes | None:
    """ISO 14496-3's description of AAC-LC, which says once what the heads say again and again.

    None where it cannot: other rates, or more than seven channels.
    """
    if rate_hz not in _RATES or not 1 <= channels <= 7:
        return None
    packed = _LOW_COMPLEXITY << 11 | _RATES.index(rate_hz) << 7 | channels << 3
    return packed.to_bytes(2, "big")
