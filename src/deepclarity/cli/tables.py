"""What the evaluations print and write."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from deepclarity.atomic_write import atomic_write
from deepclarity.errors import UsageError


def check_targets(json_file: Path | None, picture: Path | None) -> None:
    """Raise UsageError for what could not be written after minutes of measuring."""
    from deepclarity.stream.files.still import PICTURES

    for path in (json_file, picture):
        if path is not None and not path.parent.is_dir():
            raise UsageError(f"{path.parent}: no such folder. Create it, or choose another place.")
        if path is not None and path.exists() and not path.is_file():
            raise UsageError(f"{path}: not a plain file. Name a file to write to.")
        if path is not None and not os.access(path.parent, os.W_OK):
            raise UsageError(f"{path.parent}: no permission to write there. Choose another place.")
    if json_file is not None and picture is not None and json_file.resolve() == picture.resolve():
        raise UsageError(f"{picture}: named for the numbers and for the picture. Name two files.")
    if picture is not None and picture.suffix.lower() not in PICTURES:
        known = ", ".join(sorted(PICTURES))
        raise UsageError(f"{picture}: cannot write '{picture.suffix}' pictures. Use one of {known}.")


def aligned(lines: Sequence[Sequence[str]], *, words: int = 2) -> Iterator[str]:
    """The first `words` cells of every line to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        pairs = list(zip(line, widths, strict=True))
        cells = [cell.ljust(width) for cell, width in pairs[:words]]
        cells += [cell.rjust(width) for cell, width in pairs[words:]]
        yield "  " + "  ".join(cells).rstrip()


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write whole or not at all; OutputError where that fails."""
    atomic_write(path, (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode())
