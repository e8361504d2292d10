"""Packet types shared by files, live streams and RTSP: an alias for PyAV's packet, and RTP's time base."""

from __future__ import annotations

from fractions import Fraction
from typing import TypeAlias

from av.packet import Packet
from av.stream import Stream

AnyPacket: TypeAlias = "Packet[Stream]"
"""An encoded packet of any track."""

RTP_TIME_BASE = Fraction(1, 90_000)
"""Seconds per tick of RTP video timestamps (RFC 3551); the time base of all live frames and packets."""
