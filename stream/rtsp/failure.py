"""The failure of a source, in words for the user."""

from __future__ import annotations


class SourceFailure(OSError):  # noqa: N818  a camera's failure, not the program's
    """A source cannot be read on. `reason`: why, without secrets and without the address."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
