"""Exception hierarchy and error-message helpers.

    DeepClarityError
    ├── InputError               (ValueError)         exit 2   invalid input
    │   ├── UsageError                                         invalid option, preset key or name
    │   ├── SourceError          (OSError)                     unreadable file or stream
    │   └── WeightsError                                       missing, damaged or unknown weight file
    ├── DamagedInputError        (OSError)            exit 3   output complete, input damaged
    ├── OutputError              (OSError)            exit 4   output cannot be written
    ├── DeviceError              (RuntimeError)       exit 5   device missing or failed
    └── StageError               (RuntimeError)       exit 1   internal failure: report it as a bug

Each leaf also inherits from the nearest builtin, so `except OSError` works as expected.
A message is one line: what failed, where, and what to do about it.
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
    """Base class of every error that DeepClarity raises on purpose. URLs in the message are stripped of secrets."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str) -> None:
        super().__init__(hide_secrets(message))


class InputError(DeepClarityError, ValueError):
    """Invalid input."""

    exit_code = 2


class UsageError(InputError):
    """An option, preset key or name is unknown or has an invalid value."""


class SourceError(InputError, OSError):
    """A file or stream cannot be opened or contains no video."""


class WeightsError(InputError):
    """A weight file is missing, damaged or does not match its manifest."""


class DamagedInputError(DeepClarityError, OSError):
    """The output is complete, but the input was damaged: frames are missing from it."""

    exit_code = 3


class OutputError(DeepClarityError, OSError):
    """The output cannot be written."""

    exit_code = 4


class DeviceError(DeepClarityError, RuntimeError):
    """The requested device does not exist or stopped working."""

    exit_code = 5


class StageError(DeepClarityError, RuntimeError):
    """A pipeline stage failed in a way that no input should cause: a bug."""


_USERINFO = re.compile(
    r"(?P<scheme>\b(?:[a-z][a-z0-9+.-]*:/{1,2}|(?:rtsps?|rtmps?|https?|udp|rtp|tcp|srt):))[^\n]*@", re.IGNORECASE
)
"""User and password up to the last `@`: a password may contain any character, and people forget slashes."""
_SECRET_QUERY = re.compile(
    r"(?P<key>[?&][^=&\s]*(?:pass|pwd|token|key|secret|auth|sig|jwt|credential|user)[^=&\s]*=)[^\s&]*", re.IGNORECASE
)


def hide_secrets(text: str) -> str:
    """Replace user names, passwords and secret query values in every URL of `text` by `***`."""
    return _SECRET_QUERY.sub(r"\g<key>***", _USERINFO.sub(r"\g<scheme>***@", text))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """End of an error message: a suggestion of the nearest known name, or else all known names."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names)}"
