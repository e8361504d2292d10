"""Temporary storage of uploads and results: files have names that cannot be guessed, and expire."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from deepclarity.web.errors import RefusedError

_PARTIAL_UPLOAD_TIMEOUT_S = 20.0
"""A partial upload that has not grown for this long was abandoned by its client or rejected by the middleware."""


class ResultStore:
    """A folder of uploads and results that are deleted after `retention_s`, or all at once by `clear`."""

    def __init__(self, folder: Path, *, retention_s: float) -> None:
        """`folder`: absolute, ours alone. Uploads are saved in it, each result in its own folder below `results/`."""
        self.folder = folder.resolve()
        self._retention_s = retention_s
        self._results = self.folder / "results"
        self._results.mkdir(parents=True, exist_ok=True)
        self._in_use = Counter[Path]()

    def new_path(self, name: str) -> Path:
        """A new path for a result called `name`, in a folder whose name cannot be guessed."""
        folder = self._results / secrets.token_urlsafe(24)
        folder.mkdir()
        return folder / name

    def url(self, path: Path) -> str:
        """The URL path of a result."""
        return f"/results/{path.parent.name}/{quote(path.name)}"

    def find(self, token: str, name: str) -> Path | None:
        """The result at `/results/token/name`; None if it does not exist, or no longer."""
        if not re.fullmatch(r"[\w-]{32}", token):
            return None
        folder = self._results / token
        if not folder.is_dir():
            return None
        return next((path for path in folder.iterdir() if path.name == name and path.is_file()), None)

    def delete(self, path: Path) -> None:
        """Delete a result together with its folder."""
        if path.parent.parent == self._results:
            shutil.rmtree(path.parent, ignore_errors=True)

    def uploaded(self, payload: object) -> Path:
        """The path in a Gradio `FileData` payload; RefusedError when it is not a file in this store."""
        name = payload.get("path") if isinstance(payload, dict) else None
        if not isinstance(name, str) or not name:
            raise RefusedError("Choose a file first.")
        if not self.contains(name):
            raise RefusedError("Only files that were uploaded here can be used.")
        path = Path(name)
        if not path.is_file():
            raise RefusedError("The file is no longer here. Upload it again.")
        return path

    def contains(self, name: str) -> bool:
        """Whether `name` is an absolute path in this folder, after links and `..` are resolved."""
        if "\0" in name or not Path(name).is_absolute():
            return False
        with contextlib.suppress(OSError, ValueError):
            return Path(name).resolve().is_relative_to(self.folder)
        return False

    @contextlib.contextmanager
    def keep(self, path: Path) -> Iterator[None]:
        """Protect a file from expiry inside the `with` block; its retention time restarts afterwards."""
        path = path.resolve()
        self._in_use[path] += 1
        try:
            yield
        finally:
            self._in_use[path] -= 1
            with contextlib.suppress(OSError):
                path.touch()

    def size_bytes(self) -> int:
        """Total size of all files."""
        return sum(size for _, size, _ in self._files())

    def sweep(self) -> None:
        """Delete expired files and empty folders."""
        now = time.time()
        for path, _, modified in list(self._files()):
            is_partial = path.parent == self.folder and path.name.startswith("tmp")
            if self._in_use[path]:
                continue
            max_age_s = _PARTIAL_UPLOAD_TIMEOUT_S if is_partial else self._retention_s
            if path.parent.name != "examples" and now - modified > max_age_s:
                path.unlink(missing_ok=True)
                if path.parent not in (self.folder, self._results):
                    with contextlib.suppress(OSError):  # not empty yet
                        path.parent.rmdir()
        for folder in [*self.folder.iterdir(), *self._results.iterdir()]:
            with contextlib.suppress(OSError):  # a file, not empty yet, or gone
                if folder.name not in ("results", "examples") and now - folder.stat().st_mtime > self._retention_s:
                    folder.rmdir()

    async def run_sweeper(self, interval_s: float = 15.0) -> None:
        """Delete expired files periodically, until cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            await asyncio.to_thread(self.sweep)

    def clear(self) -> None:
        """Delete everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self) -> Iterator[tuple[Path, int, float]]:
        for path in self.folder.rglob("*"):
            with contextlib.suppress(OSError):
                stat = path.stat()
                if path.is_file():
                    yield path, stat.st_size, stat.st_mtime


def download_name(payload: object, suffix: str) -> str:
    """The file name of a result: the sanitized name of the upload, with `suffix`."""
    name = payload.get("orig_name") if isinstance(payload, dict) else None
    stem = Path(name).stem if isinstance(name, str) else ""
    sanitized = re.sub(r"[^\w.-]+", "_", stem)[:60].strip("._-")
    return f"{sanitized or 'picture'}{suffix}"
