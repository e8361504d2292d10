"""ZIP archives that are written while they are sent: they need neither disk nor memory."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

_CHUNK_BYTES = 256 * 1024
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\u200e\u200f\u202a-\u202e\u2066-\u2069]')
"""Control characters, those that Windows forbids in file names, and those that reverse the order of letters."""

_RESERVED = frozenset(
    {"CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in "123456789")}
)
"""Device names of Windows, which cannot be file names there."""


class _Unsent(io.RawIOBase):
    """Holds what has been written and not yet sent."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._chunks.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        """All that was written since the last call."""
        taken = b"".join(self._chunks)
        self._chunks.clear()
        return taken


def zip_stream(files: Iterable[tuple[str, Path]], *, texts: Iterable[tuple[str, str]] = ()) -> Iterator[bytes]:
    """Yield a ZIP archive of `files` and `texts` (name in the archive, path or content), not compressed.

    Pictures are compressed already. A file that cannot be read ends the stream with OSError, before the archive's
    directory: what has arrived is then no valid archive, and cannot be mistaken for a complete one.
    """
    unsent = _Unsent()
    with zipfile.ZipFile(unsent, "w", zipfile.ZIP_STORED) as archive:
        for name, path in files:
            with path.open("rb") as file, archive.open(zipfile.ZipInfo.from_file(path, name), "w") as entry:
                while chunk := file.read(_CHUNK_BYTES):
                    entry.write(chunk)
                    yield unsent.take()
        for name, text in texts:
            archive.writestr(name, text)
    yield unsent.take()


def safe_name(name: object, *, default: str = "picture") -> str:
    """A file name that every system accepts, as close to `name` as possible, at most 160 bytes of UTF-8."""
    text = re.split(r"[/\\]", name)[-1] if isinstance(name, str) else ""
    text = _FORBIDDEN.sub("_", text.encode("utf-8", "replace").decode())
    stem, dot, suffix = text.rpartition(".")
    stem, suffix = (stem, f".{suffix[:8]}") if dot and stem.strip(" .") else (text, "")
    stem = stem.strip(" .").encode()[:120].decode(errors="ignore").strip(" .")
    stem = f"_{stem}" if stem.split(".")[0].upper() in _RESERVED else stem
    return f"{stem or default}{suffix.rstrip(' .')}"


def unique_names(names: Iterable[str]) -> list[str]:
    """The names in order; of equal ones, the second becomes `name (2).png`, also if they differ in case only."""
    taken: set[str] = set()
    unique = []
    for name in names:
        stem, dot, suffix = name.rpartition(".")
        stem, suffix = (stem, dot + suffix) if dot and stem else (name, "")
        number, candidate = 1, name
        while candidate.lower() in taken:
            number += 1
            candidate = f"{stem} ({number}){suffix}"
        taken.add(candidate.lower())
        unique.append(candidate)
    return unique
