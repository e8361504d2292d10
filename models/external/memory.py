"""Estimates of free memory and of what a network needs."""

from __future__ import annotations

import os

LIVE_LAYERS = 5
"""Outputs of the widest layer that are in memory at a time: inputs, results and work space, with a reserve."""
_ASSUMED_BYTES = 4 * 2**30
"""Free memory assumed where the system does not report it."""


def free_memory_bytes() -> int:
    """Free memory of this machine, in bytes."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows, macOS
        return _ASSUMED_BYTES
