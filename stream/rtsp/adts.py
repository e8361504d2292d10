"""Strips the ADTS headers (ISO 13818-7) of AAC from transport streams, which RTP does not carry."""

from __future__ import annotations

_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_LOW_COMPLEXITY = 2


def strip_adts_header(packet: bytes) -> bytes:
    """Remove the ADTS header of an AAC frame; a packet without one is returned unchanged."""
    if len(packet) < 7 or packet[0] != 0xFF or packet[1] & 0xF6 != 0xF0:
        return packet
    has_crc = not packet[1] & 1  # a checksum follows the header
    return packet[9 if has_crc else 7 :]


def audio_specific_config(rate_hz: int, channels: int) -> bytes | None:
    """Build the AudioSpecificConfig (ISO 14496-3) of AAC-LC, which replaces the headers of all packets.

    None for a non-standard sample rate or more than seven channels, which it cannot express.
    """
    if rate_hz not in _RATES or not 1 <= channels <= 7:
        return None
    packed = _LOW_COMPLEXITY << 11 | _RATES.index(rate_hz) << 7 | channels << 3
    return packed.to_bytes(2, "big")
