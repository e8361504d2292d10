"""What the evaluations print and write."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from deepclarity.errors import OutputError, UsageError


def check_targets(json_file: Path | None, picture: Path | None) -> None:
    """Raise UsageError for what could not be written after minutes of measuring."""
    from deepclarity.stream.picture import PICTURES

    for path in (json_file, picture):
        if path is not None and not path.parent.is_dir():
            raise UsageError(f"{path.parent}: no such folder. Create it, or choose another place.")
        if path is not None and path.is_dir():
            raise UsageError(f"{path}: a folder. Name a file in it.")
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
    """Write to a temporary name and rename; OutputError where that fails."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}. Choose another place.") from error
