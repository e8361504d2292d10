"""Tables and JSON files written by the evaluations."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from deepclarity.atomic_write import atomic_write
from deepclarity.errors import UsageError


def check_targets(json_file: Path | None, picture: Path | None) -> None:
    """Raise UsageError if an output file could not be written; called before minutes of measuring."""
    from deepclarity.stream.files.still import IMAGE_SUFFIXES

    for path in (json_file, picture):
        if path is not None and not path.parent.is_dir():
            raise UsageError(f"{path.parent}: no such folder. Create it, or choose another place.")
        if path is not None and path.exists() and not path.is_file():
            raise UsageError(f"{path}: not a regular file. Choose another file name.")
        if path is not None and not os.access(path.parent, os.W_OK):
            raise UsageError(f"{path.parent}: no permission to write there. Choose another place.")
    if json_file is not None and picture is not None and json_file.resolve() == picture.resolve():
        raise UsageError(f"{picture}: given for both the JSON file and the picture. Choose two different files.")
    if picture is not None and picture.suffix.lower() not in IMAGE_SUFFIXES:
        known = ", ".join(sorted(IMAGE_SUFFIXES))
        raise UsageError(f"{picture}: cannot write '{picture.suffix}' pictures. Use one of {known}.")


def align_columns(rows: Sequence[Sequence[str]], *, text_columns: int = 2) -> Iterator[str]:
    """Rows as aligned text: the first `text_columns` cells left-aligned, the others right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        pairs = list(zip(row, widths, strict=True))
        cells = [cell.ljust(width) for cell, width in pairs[:text_columns]]
        cells += [cell.rjust(width) for cell, width in pairs[text_columns:]]
        yield "  " + "  ".join(cells).rstrip()


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write `values` as JSON, atomically; raises OutputError."""
    atomic_write(path, (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode())
