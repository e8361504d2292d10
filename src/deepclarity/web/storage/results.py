"""Temporary storage of uploads and results: files have names that cannot be guessed, and expire."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from deepclarity.atomic_write import atomic_write
from deepclarity.web.errors import RefusedError

_PARTIAL_UPLOAD_TIMEOUT_S = 20.0
"""A partial upload that has not grown for this long was abandoned by its client or rejected by the middleware."""

_REMEMBERED = 20_000
"""Tokens of expired results that are remembered, to distinguish them from addresses that never existed."""

_PAGE = ".page.html"


class ResultStore:
    """A folder of uploads and results that are deleted after `retention_s`, or all at once by `clear`."""

    def __init__(self, folder: Path, *, retention_s: float) -> None:
        """`folder`: absolute, ours alone. Uploads are saved in it, each result in its own folder below `results/`."""
        self.folder = folder.resolve()
        self._retention_s = retention_s
        self._results = self.folder / "results"
        self._results.mkdir(parents=True, exist_ok=True)
        self._in_use = Counter[Path]()
        self._expired = OrderedDict[str, None]()
        self._lock = threading.Lock()

    def new_path(self, name: str) -> Path:
        """A new path for a result called `name`, in a folder whose name cannot be guessed."""
        return self.new_folder() / name

    def new_folder(self) -> Path:
        """A new folder for the files of one result, whose name cannot be guessed."""
        folder = self._results / secrets.token_urlsafe(24)
        folder.mkdir()
        return folder

    def url(self, path: Path) -> str:
        """The URL path of a result."""
        return f"/results/{path.parent.name}/{quote(path.name)}"

    def find(self, token: str, name: str) -> Path | None:
        """The result at `/results/token/name`; None if it does not exist, or no longer."""
        folder = self.folder_of(token)
        if folder is None or name.startswith("."):
            return None
        return next((path for path in folder.iterdir() if path.name == name and path.is_file()), None)

    def link(self, path: Path) -> str:
        """The URL path of the page that shows the result `path`; it lives as long as the files."""
        return f"/results/{path.parent.name}"

    def save_page(self, path: Path, content: str) -> None:
        """Save the HTML that shows the result `path`."""
        atomic_write(path.with_name(_PAGE), content.encode("utf-8"))

    def page(self, token: str) -> tuple[str, float] | None:
        """The HTML that shows a result, and the seconds for which it is still kept; None if there is none."""
        folder = self.folder_of(token)
        if folder is None:
            return None
        try:
            content = (folder / _PAGE).read_text("utf-8")
        except OSError:
            return None
        return content, max(0.0, self._retention_s - (time.time() - self._newest(folder)))

    def has_expired(self, token: str) -> bool:
        """Whether there was a result of this token."""
        return token in self._expired

    def folder_of(self, token: str) -> Path | None:
        """The folder of a result; None if there is none."""
        folder = self._results / token
        return folder if re.fullmatch(r"[\w-]{32}", token) and folder.is_dir() else None

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
        try:
            with self.hold(path):
                yield
        finally:
            with contextlib.suppress(OSError):
                path.resolve().touch()

    @contextlib.contextmanager
    def hold(self, path: Path) -> Iterator[None]:
        """Protect a file, and a result with all its files, from expiry inside the `with` block, and no longer."""
        path = path.resolve()
        with self._lock:
            self._in_use[path] += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_use[path] -= 1
                if self._in_use[path] <= 0:
                    del self._in_use[path]

    @staticmethod
    def same_age(path: Path, model: Path) -> None:
        """Give a file the age of another, so that it does not outlive it."""
        with contextlib.suppress(OSError):
            stat = model.stat()
            os.utime(path, (stat.st_atime, stat.st_mtime))

    def size_bytes(self) -> int:
        """Total size of all files."""
        sizes = {}
        for path, size, _ in self._files():
            with contextlib.suppress(OSError):  # deleted meanwhile
                sizes[path.stat().st_ino] = size  # a file with two names takes its space once
        return sum(sizes.values())

    def sweep(self) -> None:
        """Delete expired files and empty folders."""
        now = time.time()
        for path, _, modified in list(self._files()):
            is_partial = path.parent == self.folder and path.name.startswith("tmp")
            if self._in_use[path] or path.is_relative_to(self._results):
                continue
            max_age_s = _PARTIAL_UPLOAD_TIMEOUT_S if is_partial else self._retention_s
            if path.parent.name != "examples" and now - modified > max_age_s:
                path.unlink(missing_ok=True)
                if path.parent != self.folder:
                    with contextlib.suppress(OSError):  # not empty yet
                        path.parent.rmdir()
        for folder in self.folder.iterdir():
            with contextlib.suppress(OSError):  # a file, not empty yet, or gone
                if folder.name not in ("results", "examples") and now - folder.stat().st_mtime > self._retention_s:
                    folder.rmdir()
        for folder in list(self._results.iterdir()):
            with self._lock:
                in_use = any(path.parent == folder for path in self._in_use)
            if not in_use and now - self._newest(folder) > self._retention_s:
                self._expire(folder)

    async def run_sweeper(self, interval_s: float = 15.0) -> None:
        """Delete expired files periodically, until cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            await asyncio.to_thread(self.sweep)

    def clear(self) -> None:
        """Delete everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _expire(self, folder: Path) -> None:
        """Delete a result with all its files, and remember that there was one."""
        shutil.rmtree(folder, ignore_errors=True)
        with self._lock:
            self._expired[folder.name] = None
            while len(self._expired) > _REMEMBERED:
                self._expired.popitem(last=False)

    @staticmethod
    def _newest(folder: Path) -> float:
        """When the newest file of a folder was written; if it has none, the folder itself; 0 if it is gone."""
        times = []
        with contextlib.suppress(OSError):
            for path in [*folder.iterdir()] or [folder]:
                with contextlib.suppress(OSError):
                    times.append(path.stat().st_mtime)
        return max(times, default=0.0)

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
