"""A request that is turned away on its way in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class RequestRejectedError(Exception):
    """A request that goes no further, and what its sender is told."""

    status: int
    words: str
