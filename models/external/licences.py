"""Licences of the architectures that spandrel implements; a file of weights has a licence of its own."""

from __future__ import annotations

_LICENCES = {
    "Compact": "BSD-3-Clause",
    "DAT": "Apache-2.0",
    "ESRGAN": "Apache-2.0",
    "HAT": "Apache-2.0",
    "SPAN": "Apache-2.0",
    "SwinIR": "Apache-2.0",
}
"""By spandrel's identifier, as the authors' own repositories state them."""

PERMISSIVE = "MIT, Apache-2.0, BSD or public domain"
"""What the package spandrel itself says of all its architectures; others are in a package of their own."""


def architecture_licence(identifier: str) -> str:
    """The licence of an architecture's code, by spandrel's identifier such as `DAT`."""
    return _LICENCES.get(identifier, PERMISSIVE)
