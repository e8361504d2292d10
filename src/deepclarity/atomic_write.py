"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
from pathlib import Path

from deepclarity.errors import OutputError


def atomic_write(path: Path, content: bytes) -> None:
    """Write `content` under a temporary name beside `path`, and rename; OutputError where that fails.

    A link is followed. What exists and is no plain file, a device or a folder, is refused and left alone.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise OutputError(f"{path}: not a plain file. Name a file to write to.")
    partial = target.with_name(f"{target.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(target)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        reason = error.strerror or error
        raise OutputError(f"{path}: cannot be written: {reason}. Make room, or choose another place.") from error
