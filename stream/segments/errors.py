"""The error that ends copying."""

from __future__ import annotations


class CopyError(RuntimeError):
    """Packets cannot be copied, for the reason in the message; the file is encoded anew instead. Always caught."""
