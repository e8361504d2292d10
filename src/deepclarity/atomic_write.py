"""Atomic file writes: a file is either complete or unchanged."""

from __future__ import annotations

import contextlib
from pathlib import Path

from deepclarity.errors import OutputError


def atomic_write(path: Path, content: bytes) -> None:
    """Write `content` to a temporary file beside `path`, then rename it to `path`.

    Symbolic links are followed. An existing target that is not a regular file (a device, a folder) is left untouched.
    Raises OutputError if the target is not a regular file or cannot be written.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise OutputError(f"{path}: not a regular file. Choose another file name.")
    partial = target.with_name(f"{target.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(target)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        reason = error.strerror or error
        raise OutputError(f"{path}: cannot be written: {reason}. Free some space, or choose another place.") from error
