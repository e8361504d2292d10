"""Record of the finished files of an output folder, so that a later run skips them.

A text file of JSON lines, one a finished file, appended as soon as the file has its name: killing a run at any moment
costs at most the files that were being written.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType

from deepclarity.atomic_write import atomic_write
from deepclarity.errors import OutputError, UsageError

from .files import BatchFile

NAME = ".deepclarity-batch.jsonl"
_TYPES = {"str": str, "int": int}


@dataclass(frozen=True, slots=True)
class Entry:
    """A finished file; equal entries of source and options mean equal outputs."""

    source: str
    source_size: int
    source_mtime_ns: int
    options: str
    """Digest of everything else that determines the output."""
    output: str
    """Path relative to the output folder."""
    output_size: int
    output_mtime_ns: int
    damaged: int = 0
    """Damaged or missing packets of the source."""


class Manifest:
    """The finished files of one output folder; only one run at a time may write into it."""

    def __init__(self, folder: Path) -> None:
        """Read the record of `folder`, an existing folder; OutputError if it cannot be written."""
        self._folder = folder
        path = folder / NAME
        try:
            self._file = path.open("ab", buffering=0)
            entries, lines = _read(path)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written ({error.strerror}). Choose another folder.") from error
        self._lock()
        self._entries = entries
        if lines > 2 * len(entries) + 100:
            self._compact(path)
        elif path.stat().st_size:
            self._file.write(b"\n")  # ends a line that a killed run left incomplete

    def __enter__(self) -> Manifest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def finished(self, file: BatchFile, options: str) -> Entry | None:
        """The entry of `file` if its source, the options and its output are as they were; else None."""
        entry = self._entries.get(self._key(file))
        if entry is None or not self.wrote(file):
            return None
        try:
            source = file.source.stat()
        except OSError:
            return None
        wanted = (str(file.source.absolute()), source.st_size, source.st_mtime_ns, options)
        return entry if wanted == (entry.source, entry.source_size, entry.source_mtime_ns, entry.options) else None

    def wrote(self, file: BatchFile) -> bool:
        """Whether the output of `file` is one that a batch wrote and nobody has changed since."""
        entry = self._entries.get(self._key(file))
        try:
            output = file.output.stat()
        except OSError:
            return False
        return entry is not None and (output.st_size, output.st_mtime_ns) == (entry.output_size, entry.output_mtime_ns)

    def add(self, file: BatchFile, source: os.stat_result, options: str, *, damaged: int) -> None:
        """Record that `file` is finished; `source`: what its source was before it was read."""
        output = file.output.stat()
        key = self._key(file)
        entry = Entry(
            source=str(file.source.absolute()),
            source_size=source.st_size,
            source_mtime_ns=source.st_mtime_ns,
            options=options,
            output=key,
            output_size=output.st_size,
            output_mtime_ns=output.st_mtime_ns,
            damaged=damaged,
        )
        self._entries[key] = entry
        try:
            self._file.write(_line(entry))
        except OSError as error:
            raise OutputError(
                f"{self._folder / NAME}: cannot be written ({error.strerror}). Free some space."
            ) from error

    def _key(self, file: BatchFile) -> str:
        return file.output.relative_to(self._folder).as_posix()

    def _compact(self, path: Path) -> None:
        """Rewrite the file without the entries that later ones have replaced."""
        self._file.close()
        atomic_write(path, b"".join(map(_line, self._entries.values())))
        self._file = path.open("ab", buffering=0)
        self._lock()

    def _lock(self) -> None:
        """Lock the record until it is closed, where the system can; UsageError if another run holds it."""
        try:
            import fcntl

            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            text = f"{self._folder}: another batch is writing to it. Wait for it, or choose another folder."
            raise UsageError(text) from error
        except (ImportError, OSError):  # Windows; a file system without locks
            return


def _line(entry: Entry) -> bytes:
    return (json.dumps(asdict(entry)) + "\n").encode()


def _read(path: Path) -> tuple[dict[str, Entry], int]:
    """The entries by output, and the number of lines; lines that are damaged or of another version do not count."""
    entries: dict[str, Entry] = {}
    lines = path.read_bytes().splitlines()
    for line in lines:
        try:
            entry = Entry(**json.loads(line))
        except (ValueError, TypeError, RecursionError):
            continue
        if all(isinstance(getattr(entry, item.name), _TYPES[str(item.type)]) for item in fields(Entry)):
            entries[entry.output] = entry
    return entries, len(lines)
