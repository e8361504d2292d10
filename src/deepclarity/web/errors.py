"""Exceptions of the web app whose text is shown to the client."""

from __future__ import annotations

from dataclasses import dataclass


class RefusedError(Exception):
    """A request that cannot be served; its text is one sentence for the person who sent it."""


@dataclass
class RequestRejectedError(Exception):
    """An HTTP request that is rejected before Gradio handles it."""

    status: int
    """HTTP status code of the answer."""
    message: str
    """One sentence for the client."""
