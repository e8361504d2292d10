"""Follows damage from the frame it hits to those that are predicted from it."""

from __future__ import annotations

_MAX_FRAMES = 250
"""Frames after which damage is taken to have healed without a key frame, as in streams refreshed slice by slice."""


class DamageTracker:
    """Finds the frames that show concealed loss: those that are damaged, and all up to the next key frame.

    FFmpeg flags only the frames in which it conceals something itself. The frames predicted from them repeat what was
    concealed.
    """

    def __init__(self) -> None:
        self._left = 0
        """Frames for which earlier damage still counts."""

    def lost(self) -> None:
        """A packet could not be decoded: what follows may be predicted from it."""
        self._left = _MAX_FRAMES

    def is_intact(self, *, key: bool, corrupt: bool) -> bool:
        """Whether the next frame, in presentation order, is free of concealed loss."""
        if corrupt:
            self._left = _MAX_FRAMES
            return False
        if key:
            self._left = 0
        self._left = max(0, self._left - 1)
        return self._left == 0
