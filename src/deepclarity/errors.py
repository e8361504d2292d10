"""Everything that DeepClarity raises on purpose.

    DeepClarityError
    ├── InputError               (ValueError)         exit 2   what we were given cannot be used
    │   ├── UsageError                                         an option, a preset key, a name
    │   ├── SourceError          (OSError)                     a file or stream that cannot be read
    │   └── WeightsError                                       a weight file that cannot be trusted
    ├── DamagedInputError        (OSError)            exit 3   the output is whole, the input was not
    ├── OutputError              (OSError)            exit 4   the result cannot be written
    ├── DeviceError              (RuntimeError)       exit 5   no such device, or it failed
    └── StageError               (RuntimeError)       exit 1   a step of our own failed: a bug to report

Each leaf also inherits the nearest builtin, so `except OSError` works as people expect.
A message says what, where and what to do about it, in one line.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import ClassVar

__all__ = [
    "DamagedInputError",
    "DeepClarityError",
    "DeviceError",
    "InputError",
    "OutputError",
    "SourceError",
    "StageError",
    "UsageError",
    "WeightsError",
    "did_you_mean",
    "hide_secrets",
]


class DeepClarityError(Exception):
    """The root: catch this to catch all that DeepClarity raises on purpose."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str) -> None:
        super().__init__(hide_secrets(message))


class InputError(DeepClarityError, ValueError):
    """What we were given cannot be used."""

    exit_code = 2


class UsageError(InputError):
    """An option, a preset key or a name that does not exist or does not fit."""


class SourceError(InputError, OSError):
    """A file or stream that cannot be opened or holds nothing to show."""


class WeightsError(InputError):
    """A weight file that is missing, damaged or not what its manifest says."""


class DamagedInputError(DeepClarityError, OSError):
    """The output is whole, but the input was damaged: some of its frames are missing."""

    exit_code = 3


class OutputError(DeepClarityError, OSError):
    """The result cannot be written."""

    exit_code = 4


class DeviceError(DeepClarityError, RuntimeError):
    """The device asked for does not exist, or stopped working."""

    exit_code = 5


class StageError(DeepClarityError, RuntimeError):
    """A step of our own failed in a way that no input should cause."""


_USERINFO = re.compile(
    r"(?P<scheme>\b(?:[a-z][a-z0-9+.-]*:/{1,2}|(?:rtsps?|rtmps?|https?|udp|rtp|tcp|srt):))[^\n]*@", re.IGNORECASE
)
"""A user and password before the last `@`: passwords hold anything, and people forget slashes."""
_SECRET_QUERY = re.compile(
    r"(?P<key>[?&][^=&\s]*(?:pass|pwd|token|key|secret|auth|sig|jwt|credential|user)[^=&\s]*=)[^\s&]*", re.IGNORECASE
)


def hide_secrets(text: str) -> str:
    """`text` with the user, password and secret query values cut out of every URL in it."""
    return _SECRET_QUERY.sub(r"\g<key>***", _USERINFO.sub(r"\g<scheme>***@", text))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the nearest known name, or all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names)}"
