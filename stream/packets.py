"""Type alias for PyAV's packets of any track."""

from __future__ import annotations

from typing import TypeAlias

from av.packet import Packet
from av.stream import Stream

AnyPacket: TypeAlias = "Packet[Stream]"
"""A piece of encoded data of any track."""
